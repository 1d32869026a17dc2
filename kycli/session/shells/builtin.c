/*
 * A builtin for bash that makes an ordinary call: it sends a request to the server of this shell and
 * takes a short reply. The functions of kycli.bash do everything else. That script loads this file with
 * `enable -f`, and says what the descriptors and variables are; bash.py says what is sent.
 *
 *     __kycli_ask PROGRAM [-v VAR] [WORD ...]
 *
 * The status is that of the command, or one of enum status. Bash runs no trap while a builtin runs.
 * So all that a trap could find half done is put into variables before the builtin returns.
 *
 * The headers of bash are seldom installed, so what is used of bash is declared here. It has been the
 * same from bash 5.1 to 5.3; kycli.bash loads this file into no other.
 */

#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* What bash has. A text that it does not change is const here, if not in its own headers. */

typedef struct word_desc {
    char *word;
    int flags;
} WORD_DESC;

typedef struct word_list {
    struct word_list *next;
    WORD_DESC *word;
} WORD_LIST;

typedef struct variable {
    char *name;
    char *value;
    char *exportstr;
    void *dynamic_value;
    void *assign_func;
    int attributes;
    int context;
} SHELL_VAR;

struct builtin {
    const char *name;
    int (*function)(WORD_LIST *);
    int flags;
    const char *const *long_doc;
    const char *short_doc;
    char *handle;
};

enum { ENABLED = 0x01 };                                                         /* flags */
enum {                                                                           /* attributes */
    EXPORTED = 0x1,
    READONLY = 0x2,
    ARRAY = 0x4,
    INTEGER = 0x10,
    ASSOCIATIVE = 0x40,
    REFERENCE = 0x800,
    INVISIBLE = 0x1000,
    NO_ASSIGN = 0x4000,
};

extern pid_t dollar_dollar_pid;
extern int variable_context;

SHELL_VAR *find_variable(const char *name);
SHELL_VAR *find_variable_noref(const char *name);
const char *get_variable_value(SHELL_VAR *variable);
SHELL_VAR *bind_variable(const char *name, const char *value, int flags);
SHELL_VAR *make_local_variable(const char *name, int flags);
void stupidly_hack_special_variables(const char *name);

/* What the functions have. */

enum { REQUESTS = 64, ALIVE = 65, REPLIES = 67 };

/* What the functions are to do. No command of theirs has such a status. */
enum status {
    NOT_DONE = 200,    /* the whole call: nothing was sent */
    SENT = 201,        /* the rest of the call: it was sent, $__kycli_got is the reply, or empty */
    NOT_PRINTED = 202, /* print $__kycli_got */
};

/* A request is one write, which is atomic up to this size. */
enum { MOST_REQUEST = 4096 };

/* A short reply, with what goes before its text. */
enum { MOST_REPLY = 2048 };

/* How long to poll, in µs, before sleeping. It takes a sleeper longer to wake than a read takes. */
enum { AWAKE = 200 };

/* How many calls to make before looking again whether a CPU is free. */
enum { LOOK_CALLS = 16 };

/* After so many ms the functions wait for the reply. */
enum { MOST_WAIT = 200 };

/* The variables of each request, in the order of VARIABLES in shells/__init__.py. */
static const struct {
    const char *name;
    char is_always; /* sent whether it is exported or not */
    char may_be_empty;
} variables[] = {
    { "KYCLI_SCOPE", 0, 0 },     { "KYCLI_DB_PATH", 0, 0 }, { "KYCLI_CONFIG", 0, 0 },
    { "KYCLI_DEBUG", 0, 0 },     { "KYCLI_HERE", 0, 0 },    { "HOME", 1, 0 },
    { "XDG_CONFIG_HOME", 0, 0 }, { "XDG_DATA_HOME", 0, 0 }, { "TZ", 0, 1 },
    { "TMPDIR", 0, 0 },          { "LOGNAME", 1, 0 },       { "USER", 1, 0 },
};

struct request {
    size_t size;
    char text[MOST_REQUEST + 1];
};

/* Return the value of a variable, "" if it has none. */
static const char *value_of(const char *name)
{
    SHELL_VAR *variable = find_variable(name);
    const char *value = variable ? get_variable_value(variable) : NULL;

    return value ? value : "";
}

static int is_process(const char *text, pid_t process)
{
    return *text && strtol(text, NULL, 10) == process;
}

/* Whether text names a variable that is the user's. */
static int is_name(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    static const char rest[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";

    return *text && strchr(letters, *text) && text[strspn(text, rest)] == '\0';
}

/* Add a text; where there is no room, the size alone says so. */
static void add(struct request *request, const char *text)
{
    size_t size = strlen(text);

    if (request->size + size <= MOST_REQUEST)
        memcpy(request->text + request->size, text, size);
    request->size += size;
}

static void end_field(struct request *request)
{
    add(request, "\x1f");
}

static void add_number(struct request *request, long number)
{
    char digits[24];

    snprintf(digits, sizeof digits, "%ld\x1f", number);
    add(request, digits);
}

/* Whether commands see a variable. They see no array. */
static int is_exported(const SHELL_VAR *variable)
{
    return (variable->attributes & (EXPORTED | ARRAY | ASSOCIATIVE)) == EXPORTED;
}

/* Add the variables, as the functions do. */
static void add_variables(struct request *request)
{
    SHELL_VAR *variable;
    const char *value;
    size_t i;

    for (i = 0; i < sizeof variables / sizeof *variables; i++) {
        variable = find_variable(variables[i].name);
        value = variable ? get_variable_value(variable) : NULL;
        if (value && (*value || variables[i].may_be_empty)) {
            if (!variables[i].is_always)
                add(request, is_exported(variable) ? "x=" : "=");
            add(request, value);
        }
        end_field(request);
    }
}

/*
 * Write a request for a program; return whether that fits.
 *
 * kind: "p" to print, "v" for a variable.
 * link: "2" where the server has the pipe of replies already, else "0".
 */
static int write_request(struct request *request, const char *program, WORD_LIST *words,
    const char *kind, const char *link, int id)
{
    WORD_LIST *word;
    long count = 0;

    for (word = words; word; word = word->next)
        count++;
    request->size = 0;
    add(request, "K1\x1f");
    add_number(request, getpid());
    add_number(request, REPLIES);
    add_number(request, id);
    add(request, kind);
    end_field(request);
    add(request, link);
    add(request, "\x1ftpt\x1f");
    add(request, program);
    end_field(request);
    add_number(request, count);
    for (word = words; word; word = word->next) {
        add(request, word->word->word);
        end_field(request);
    }
    add_variables(request);
    add_number(request, id);
    if (request->size >= MOST_REQUEST)
        return 0;
    request->text[request->size++] = '\0';
    return 1;
}

/*
 * Whether this process may poll without taking a CPU from another one: kycli.session.waiting has the
 * same for the server. Linux alone tells how many processes run.
 */
static int may_poll(void)
{
    static int calls, answer, cpus;
    char text[80], *running;
    cpu_set_t set;
    ssize_t size;
    int file;

    if (calls-- > 0)
        return answer;
    calls = LOOK_CALLS;
    answer = 0;
    if (!cpus)
        cpus = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    file = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    size = read(file, text, sizeof text - 1);
    close(file);
    if (size <= 0)
        return 0;
    text[size] = '\0';
    running = strchr(text, '/'); /* 0.20 0.18 0.12 1/80 11206 */
    if (!running)
        return 0;
    while (running > text && running[-1] != ' ')
        running--;
    answer = atoi(running) <= cpus;
    return answer;
}

static long microseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000L + now.tv_nsec / 1000;
}

/* Wait for a reply; return whether there is some. */
static int wait_for_reply(void)
{
    struct pollfd polled[] = { { REPLIES, POLLIN, 0 }, { ALIVE, 0, 0 } };
    long end;

    if (may_poll()) {
        end = microseconds() + AWAKE;
        do
            if (poll(polled, 1, 0) > 0)
                return polled[0].revents & POLLIN;
        while (microseconds() < end);
    }
    /* The end of ALIVE is that of the server. */
    return poll(polled, 2, MOST_WAIT) > 0 && polled[0].revents & POLLIN;
}

/*
 * Read the reply to a request and return it, without its number: "=TEXT" or ":CODE:KIND:TEXT". Return
 * NULL if it does not come: the server has ended, a signal has come or it takes long.
 */
static const char *read_reply(int id)
{
    static char reply[MOST_REPLY];
    size_t size = 0;
    ssize_t more;
    char *end;

    while (wait_for_reply()) {
        more = read(REPLIES, reply + size, sizeof reply - size);
        if (more <= 0)
            return NULL;
        size += (size_t)more;
        while ((end = memchr(reply, '\0', size))) {
            if (size > 2 && atoi(reply) == id && (reply[2] == '=' || reply[2] == ':'))
                return reply + 2;
            size -= (size_t)(end + 1 - reply); /* one to a call that was left */
            memmove(reply, end + 1, size);
        }
        if (size == sizeof reply)
            return NULL;
    }
    return NULL;
}

/*
 * Print a text; return what is not printed. That nobody reads it is no error, and kills nobody.
 */
static const char *print(const char *text)
{
    struct pollfd output = { STDOUT_FILENO, POLLOUT, 0 };
    const struct timespec at_once = { 0, 0 };
    sigset_t broken, before, pending;
    ssize_t written = 0;

    sigemptyset(&broken);
    sigaddset(&broken, SIGPIPE);
    sigprocmask(SIG_BLOCK, &broken, &before);
    sigpending(&pending);
    while (*text) {
        written = write(STDOUT_FILENO, text, strlen(text));
        if (written > 0)
            text += written;
        else if (written == 0 || errno != EAGAIN || poll(&output, 1, -1) < 0)
            break;
    }
    if (*text && written < 0 && errno == EPIPE) {
        if (!sigismember(&pending, SIGPIPE))
            sigtimedwait(&broken, NULL, &at_once);
        text = "";
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return text;
}

/*
 * Whether it takes the functions to set a variable: bash evaluates what is assigned to an integer,
 * which may run commands. A reference may lead to an element of an array of integers.
 */
static int is_special(const char *name)
{
    const SHELL_VAR *variable = find_variable_noref(name);

    return variable && variable->attributes & (INTEGER | REFERENCE);
}

/* Put a text into a variable, as `printf -v` does; return whether that is done. Bash says why not. */
static int set(const char *name, const char *text)
{
    SHELL_VAR *variable = bind_variable(name, text, 0);
    int is_set = variable && !(variable->attributes & (READONLY | NO_ASSIGN));

    if (is_set)
        variable->attributes &= ~INVISIBLE;
    stupidly_hack_special_variables(name);
    return is_set;
}

/* Give the functions a variable, which is local to the one that has called. */
static void give(const char *name, const char *value)
{
    make_local_variable(name, 0);
    bind_variable(name, value, 0);
}

/* Have the functions finish a call that was sent. The variables say that its reply is to come. */
static int leave(int id, const char *link, const char *reply)
{
    char number[24], process[24];

    snprintf(number, sizeof number, "%d", id);
    snprintf(process, sizeof process, "%ld", (long)getpid());
    give("__kycli_inner", process);
    give("__kycli_id", number);
    give("__kycli_got", reply ? reply - 2 : "");
    bind_variable("__kycli_seq", number, 0);
    bind_variable("__kycli_ready", "", 0);
    if (*link == '0') {
        bind_variable("__kycli_pid", process, 0);
        bind_variable("__kycli_fd", "67", 0);
        bind_variable("__kycli_link", "0", 0);
        bind_variable("__kycli_busy", "1", 0);
    }
    return SENT;
}

/* Do what a reply says, if that is simple: a text, or a status alone. */
static int take(const char *reply, const char *variable, int id, const char *link)
{
    const char *text = reply + 1;
    char *rest;
    long code = 0;

    if (variable && is_special(variable))
        return leave(id, link, reply);
    if (*reply == ':') {
        code = strtol(text, &rest, 10);
        if (strcmp(rest, ":o:") != 0 || code < 0 || code >= NOT_DONE)
            return leave(id, link, reply);
        text = "";
    }
    if (variable)
        return set(variable, text) ? (int)code : EXIT_FAILURE;
    text = print(text);
    if (*text) {
        give("__kycli_got", text);
        return NOT_PRINTED;
    }
    return (int)code;
}

static void close_other(int file)
{
    if (file >= 0 && file != REPLIES)
        close(file);
}

/*
 * Make a pipe for the reply to one call; return whether there is one. It stays open, lest something
 * else get the number. Where many descriptors are open, any of these may have the number already.
 */
static int open_replies(void)
{
    char name[40];
    int ends[2], both, is_open;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return 0;
    snprintf(name, sizeof name, "/proc/self/fd/%d", ends[0]);
    both = open(name, O_RDWR | O_CLOEXEC); /* one that does not end with the server */
    is_open = both == REPLIES || (both >= 0 && dup3(both, REPLIES, O_CLOEXEC) == REPLIES);
    close_other(both);
    close_other(ends[0]);
    close_other(ends[1]);
    return is_open;
}

/* Send a request; return whether it was sent. */
static int send_request(const struct request *request)
{
    struct stat status;

    return fstat(REQUESTS, &status) == 0 && S_ISFIFO(status.st_mode)
        && write(REQUESTS, request->text, request->size) == (ssize_t)request->size;
}

/* Whether there is a server. Where none can be started, a request that was sent is in doubt. */
static int has_server(void)
{
    struct pollfd alive = { ALIVE, 0, 0 };

    return poll(&alive, 1, 0) == 0;
}

/* Whether the shell that has the pipes forked this one, and no function has made a pipe for it. */
static int is_subshell(void)
{
    return getpid() != dollar_dollar_pid && is_process(value_of("__kycli_shell"), dollar_dollar_pid)
        && !is_process(value_of("__kycli_pid"), getpid()) && !*value_of("__kycli_off");
}

static int ask(WORD_LIST *words)
{
    static int last;
    static struct request request;
    const char *program, *link = NULL, *variable = NULL, *reply;
    int id;

    if (!words || variable_context == 0)
        return NOT_DONE;
    program = words->word->word;
    words = words->next;
    if (words && strcmp(words->word->word, "-a") == 0)
        return NOT_DONE;
    if (words && strcmp(words->word->word, "-v") == 0) {
        words = words->next;
        if (!words || !is_name(words->word->word))
            return NOT_DONE;
        variable = words->word->word;
        words = words->next;
    } else if (isatty(STDOUT_FILENO)) {
        return NOT_DONE; /* the functions say so to the server */
    }
    id = 10 + last;
    last = (last + 1) % 90;
    if (is_process(value_of("__kycli_ready"), getpid()))
        link = "2";
    else if (is_subshell())
        link = "0";
    if (!link || !write_request(&request, program, words, variable ? "v" : "p", link, id)
        || !has_server() || (*link == '0' && !open_replies()) || !send_request(&request))
        return NOT_DONE;
    reply = read_reply(id);
    return reply ? take(reply, variable, id, link) : leave(id, link, NULL);
}

static const char *const help[] = { "Part of the functions of kycli.", NULL };

/* What `enable -f` looks for: the name of the builtin, and _struct. */
struct builtin __kycli_ask_struct = { "__kycli_ask", ask, ENABLED, help, "__kycli_ask", NULL };
