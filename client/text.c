/* Text that grows, text that is compared, and messages. */

#include "ky.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Make room for so many bytes more; return 0, or -1 when there is no memory. */
int grow(struct text *text, size_t more)
{
    size_t room = text->room ? text->room : 4096;
    char *at;

    if (text->size + more <= text->room)
        return 0;
    while (room < text->size + more)
        room *= 2;
    at = realloc(text->at, room);
    if (!at)
        return -1;
    text->at = at;
    text->room = room;
    return 0;
}

int add(struct text *text, const char *bytes, size_t size)
{
    if (grow(text, size))
        return -1;
    memcpy(text->at + text->size, bytes, size);
    text->size += size;
    return 0;
}

/* Add a text and the NUL that ends it. */
int add_field(struct text *text, const char *field)
{
    return add(text, field, strlen(field) + 1);
}

int add_number(struct text *text, unsigned long number, unsigned base)
{
    char digits[32];
    char *first = digits + sizeof digits;

    *--first = 0;
    do
        *--first = (char)('0' + number % base);
    while (number /= base);
    return add_field(text, first);
}

int begins(const char *text, const char *beginning)
{
    return !strncmp(text, beginning, strlen(beginning));
}

int same(const char *one, const char *other)
{
    return !strcmp(one, other);
}

/* Return the value of a variable, NULL if it is not set. */
const char *variable(char **variables, const char *name)
{
    size_t size = strlen(name);

    for (; *variables; variables++)
        if (!strncmp(*variables, name, size) && (*variables)[size] == '=')
            return *variables + size + 1;
    return NULL;
}

/* Write a message of several parts to standard error. */
void complain(const char *const *parts)
{
    struct text message = {0};

    for (; *parts; parts++)
        if (add(&message, *parts, strlen(*parts)))
            return;
    signal(SIGPIPE, SIG_IGN);
    if (write(2, message.at, message.size) < 0)
        return; /* nobody reads it */
}
