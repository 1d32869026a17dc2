/*
 * ky, kyg, kys and the other short commands: hand the command line to the user's server, or, where
 * there is none or it does not do it, to the Python command.
 *
 * The server has the whole grammar; this program knows nothing of it. It sends what the process
 * was called with (request.c, exchange.c) and prints the reply (reply.c). Everything else is
 * done by the script `kycli` beside this program, in this process (python.c). Until the server has
 * read a whole request nothing is done, and nothing that may have been done is done again.
 */

#include "ky.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The most standard input that is sent; what is longer takes Python's time anyway. */
#define MOST_INPUT (1u << 20)

/* The exit code of a command that the user interrupted. */
#define INTERRUPTED 130

/* The programs that are installed, each with a blank around it. */
static const char programs[] = " " KYCLI_PROGRAMS " ";

/* Return the name by which a program was called, "kycli" if that is none of the programs. */
static const char *program_of(const char *called)
{
    const char *slash = called ? strrchr(called, '/') : NULL;
    const char *name = slash ? slash + 1 : called, *found;
    size_t size = name ? strlen(name) : 0;

    for (found = programs; size && (found = strstr(found, name)); found += size)
        if (found[-1] == ' ' && found[size] == ' ')
            return name;
    return "kycli";
}

/* Return whether a program changes nothing, so that it may be run twice. */
static int only_reads(const char *program)
{
    return same(program, "kyg") || same(program, "kyl") || same(program, "kyv")
        || same(program, "kyh");
}

/*
 * Read standard input to its end. Return -1 when it is too long, or cannot be read as the
 * Python command reads it; some of it may be read then.
 */
static int read_input(struct text *input)
{
    int flags = fcntl(0, F_GETFL);
    ssize_t size;

    if (flags < 0 || (flags & O_NONBLOCK))
        return -1;
    while (input->size <= MOST_INPUT) {
        if (grow(input, 4096))
            return -1;
        size = read(0, input->at + input->size, input->room - input->size);
        if (size == 0)
            return 0;
        if (size > 0)
            input->size += (size_t)size;
        else if (errno != EINTR)
            return -1;
    }
    return -1;
}

/* Send the request again with standard input, which is given back where that does not help. */
static enum outcome exchange_input(const struct call *call, struct text *reply)
{
    struct text input = {0}, request = {0};
    enum outcome outcome = DECLINED;
    struct stat status;
    off_t start = -1;

    if (!fstat(0, &status) && S_ISREG(status.st_mode))
        start = lseek(0, 0, SEEK_CUR);
    if (!read_input(&input) && !make_request(&request, call, &input))
        outcome = exchange(call, &request, reply);
    if (outcome == WANTS_INPUT)
        outcome = UNKNOWN; /* it is no server of ours */
    if (outcome == DECLINED || outcome == NO_SERVER)
        give_back(&input, start);
    return outcome;
}

int main(int argc, char **argv, char **variables)
{
    struct text request = {0}, reply = {0};
    struct call call = {program_of(argv[0]), argc ? argv + 1 : argv, variables};
    enum outcome outcome = DECLINED;
    int code;

    if (!make_request(&request, &call, NULL))
        outcome = exchange(&call, &request, &reply);
    if (outcome == WANTS_INPUT)
        outcome = exchange_input(&call, &reply);
    switch (outcome) {
    case REPLIED:
        code = deliver(&reply);
        if (code == INTERRUPTED)
            die_of_interrupt();
        return code;
    case UNKNOWN:
    case HUNG:
        if (only_reads(call.program))
            break;
        complain((const char *[]){
            outcome == HUNG ? "kycli: the server is stopped" : "kycli: the server ended",
            " while it ran '", call.program, "'; whether it was done is not known\n",
            "hint: look before you repeat it\n", NULL});
        return 1;
    case NO_SERVER:
        start_server(&call);
        break;
    default:
        break;
    }
    run_python(&call);
}
