/* The reply: see kycli/session/protocol.py. */

#include "ky.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define MOST_DIGITS 12

/* Read a number and the NUL after it. Return where the next field begins; 0 when there is none. */
static size_t number_at(const struct text *reply, size_t at, size_t *number)
{
    size_t end = at;

    *number = 0;
    while (end < reply->size && end - at < MOST_DIGITS && reply->at[end] >= '0' && reply->at[end] <= '9')
        *number = *number * 10 + (size_t)(reply->at[end++] - '0');
    return end > at && end < reply->size && !reply->at[end] ? end + 1 : 0;
}

/* Return where the number of chunks is; 0 when the status is not whole. */
static size_t after_status(const struct text *reply)
{
    const char *end = reply->size ? memchr(reply->at, 0, reply->size) : NULL;

    return end ? (size_t)(end - reply->at) + 1 : 0;
}

/*
 * Return whether the end of the reply is here.
 *
 * seen: how many bytes of whole chunks there are, and of what precedes them; 0 at first.
 * left: how many chunks are not whole.
 */
int is_whole(const struct text *reply, size_t *seen, size_t *left)
{
    size_t at, stream, size;

    if (!*seen) {
        at = after_status(reply);
        if (!at || !(at = number_at(reply, at, left)))
            return 0;
        *seen = at;
    }
    for (; *left; --*left) {
        if (!(at = number_at(reply, *seen, &stream)) || !(at = number_at(reply, at, &size))
            || size > reply->size - at)
            return 0;
        *seen = at + size;
    }
    return 1;
}

/* Return what the status of a whole reply says. */
enum outcome meaning(const struct text *reply)
{
    size_t code;

    if (same(reply->at, "?"))
        return DECLINED;
    if (same(reply->at, "<"))
        return WANTS_INPUT;
    return number_at(reply, 0, &code) && code < 256 ? REPLIED : UNKNOWN;
}

/* Write to a stream; return 0, or the error. */
static int write_all(int stream, const char *bytes, size_t size)
{
    struct pollfd waited = {stream, POLLOUT, 0};
    ssize_t done;

    while (size) {
        done = write(stream, bytes, size);
        if (done >= 0) {
            bytes += done;
            size -= (size_t)done;
        } else if (errno == EAGAIN)
            poll(&waited, 1, -1);
        else if (errno != EINTR)
            return errno;
    }
    return 0;
}

/*
 * Write what the command wrote, and return its exit code. As in the Python command, nobody has to
 * read it to the end; any other error is reported, and the code is 1.
 */
int deliver(const struct text *reply)
{
    size_t at, chunks, stream, size, code;
    int error = 0;

    signal(SIGPIPE, SIG_IGN);
#ifdef SIGXFSZ
    signal(SIGXFSZ, SIG_IGN);
#endif
    number_at(reply, 0, &code);
    at = number_at(reply, after_status(reply), &chunks);
    for (; chunks; chunks--) {
        at = number_at(reply, at, &stream);
        at = number_at(reply, at, &size);
        if (stream == 2)
            write_all(2, reply->at + at, size);
        else if (!error)
            error = write_all(1, reply->at + at, size);
        at += size;
    }
    if (error && error != EPIPE) {
        complain((const char *[]){"kycli: cannot write to standard output: ", strerror(error), "\n", NULL});
        return 1;
    }
    return (int)code;
}
