/* The request: see kycli/session/protocol.py. */

#include "ky.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The most bytes of everything but the input: MAX_FIELDS of the protocol. */
#define MOST_FIELDS (8u << 20)

/* The header is written last, in front of what it tells the length of. */
#define HEADER "KYCLI1"
#define HEADER_ROOM 32

/* The variables that a command line may look at; what ends in a '*' are all that begin so. */
static const char *const counting[] = {
    "KYCLI_*", "HOME", "XDG_*", "TZ",    "TMPDIR", "USER",   "LOGNAME", "NO_COLOR", "TERM",
    "COLUMNS", "LINES", "PAGER", "EDITOR", "VISUAL", "LANG", "LC_*",   "PATH",     NULL,
};

static int counts(const char *setting)
{
    const char *const *name;
    size_t size;

    for (name = counting; *name; name++) {
        size = strlen(*name) - 1;
        if ((*name)[size] == '*' ? !strncmp(setting, *name, size)
                                 : !strncmp(setting, *name, size + 1) && setting[size + 1] == '=')
            return 1;
    }
    return 0;
}

static int add_list(struct text *request, char **words, int (*chosen)(const char *))
{
    unsigned long number = 0;
    char **word;

    for (word = words; *word; word++)
        number += !chosen || chosen(*word);
    if (add_number(request, number, 10))
        return -1;
    for (word = words; *word; word++)
        if ((!chosen || chosen(*word)) && add_field(request, *word))
            return -1;
    return 0;
}

static char kind(int stream)
{
    if (isatty(stream))
        return 't';
    return errno == EBADF ? '-' : 'p';
}

/*
 * Make the request, in a text that is new. Return -1 when the server cannot have it: a stream is closed, so that the
 * connection would take its place; there is no working directory; it is too long.
 */
int make_request(struct text *request, const struct call *call, const struct text *input)
{
    char streams[4] = {kind(0), kind(1), kind(2), 0};
    char directory[PATH_MAX], digits[HEADER_ROOM];
    struct text header = {digits, 0, sizeof digits};
    mode_t mask;

    if (memchr(streams, '-', 3) || !getcwd(directory, sizeof directory) || directory[0] != '/')
        return -1;
    mask = umask(077);
    umask(mask);

    if (grow(request, HEADER_ROOM))
        return -1;
    request->size = HEADER_ROOM;
    if (add_number(request, (unsigned long)getpid(), 10) || add_field(request, directory)
        || add_number(request, mask, 8) || add_field(request, streams)
        || add_field(request, call->program) || add_list(request, call->variables, counts)
        || add_list(request, call->arguments, NULL))
        return -1;
    if (request->size > MOST_FIELDS)
        return -1;
    if (input ? add_number(request, input->size, 10) || add(request, input->at, input->size)
              : add_field(request, "-"))
        return -1;

    add_field(&header, HEADER);
    add_number(&header, request->size - HEADER_ROOM, 10);
    request->at += HEADER_ROOM - header.size;
    request->size -= HEADER_ROOM - header.size;
    memcpy(request->at, header.at, header.size);
    return 0;
}
