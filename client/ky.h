/* What the parts of the client share. */

#ifndef KY_H
#define KY_H

#define _GNU_SOURCE /* before any header of the system */

#include <stddef.h>
#include <sys/types.h>

/* Text that grows. */
struct text {
    char *at;
    size_t size;
    size_t room;
};

/* What this process was called for. */
struct call {
    const char *program; /* the name it was called by, "kycli" if that is no program of kycli's */
    char **arguments;    /* what follows it */
    char **variables;
};

/* What came of asking the server. */
enum outcome {
    REPLIED,     /* the reply is whole */
    DECLINED,    /* nothing was done, and the Python command has to do it */
    NO_SERVER,   /* the same, because there is none */
    WANTS_INPUT, /* nothing was done yet: it needs standard input */
    UNKNOWN,     /* the server ended, and may have done it or not */
    HUNG,        /* the same of a server that is stopped */
};

/* text.c */
int grow(struct text *text, size_t more);
int add(struct text *text, const char *bytes, size_t size);
int add_field(struct text *text, const char *field);
int add_number(struct text *text, unsigned long number, unsigned base);
int begins(const char *text, const char *beginning);
int same(const char *one, const char *other);
const char *variable(char **variables, const char *name);
void complain(const char *const *parts);

/* request.c */
int make_request(struct text *request, const struct call *call, const struct text *input);

/* exchange.c */
int runtime_path(const struct call *call, char *path, size_t room, const char *ending, int create);
enum outcome exchange(const struct call *call, const struct text *request, struct text *reply);
void die_of_interrupt(void);

/* reply.c */
int is_whole(const struct text *reply, size_t *seen, size_t *left);
enum outcome meaning(const struct text *reply);
int deliver(const struct text *reply);

/* python.c */
void start_server(const struct call *call);
_Noreturn void run_python(const struct call *call);
void give_back(const struct text *input, off_t start);

#endif
