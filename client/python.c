/* The Python command, which does what the server does not. */

#include "ky.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __APPLE__
#include <mach-o/dyld.h>
#else
#include <sys/auxv.h>
#endif

/*
 * Tells the Python command that its first argument is the name of the program; and that Ctrl-C is
 * blocked until it can handle it.
 */
#define CALLED "_KYCLI_CLIENT="
#define HELD "_KYCLI_CLIENT=held"

/* How long after one try to start the server another one may follow. */
#define START_SECONDS 10

/* Find the file that this process runs; return -1 when the system does not say. */
static int own_path(char *path, size_t room)
{
#ifdef __APPLE__
    char found[PATH_MAX];
    uint32_t size = sizeof found;

    (void)room;
    return _NSGetExecutablePath(found, &size) || !realpath(found, path) ? -1 : 0;
#else
    static const char deleted[] = " (deleted)";
    ssize_t size = readlink("/proc/self/exe", path, room - 1);
    size_t suffix = sizeof deleted - 1;

    if (size <= 0) { /* no /proc: what the shell found on the PATH */
        const char *called = (const char *)getauxval(AT_EXECFN);
        struct text text = {path, 0, room};

        return called && strlen(called) < room ? add_field(&text, called) : -1;
    }
    /* An upgrade has put another file into its place. */
    if ((size_t)size > suffix && !memcmp(path + size - suffix, deleted, suffix))
        size -= (ssize_t)suffix;
    path[size] = 0;
    return 0;
#endif
}

/* Find the script of the Python command, which is beside this program; its first line names Python. */
static int script_path(char *path, size_t room)
{
    struct text text = {path, 0, room};
    char *slash;

    if (own_path(path, room - sizeof "kycli"))
        return -1;
    slash = strrchr(path, '/');
    text.size = slash ? (size_t)(slash - path) + 1 : 0;
    return add_field(&text, "kycli");
}

static char **copy(char *const *first, size_t before, char *const *words)
{
    size_t number = 0, at;
    char **copied;

    while (words[number])
        number++;
    copied = malloc((before + number + 1) * sizeof *copied);
    if (!copied)
        return NULL;
    for (at = 0; at < before; at++)
        copied[at] = first[at];
    memcpy(copied + before, words, (number + 1) * sizeof *words);
    return copied;
}

/*
 * Read which Python the first line of the script names; return -1 when it names more than that. The
 * installer wrote it: a blank, an option or a shell there is the kernel's business.
 */
static int find_python(const char *script, char *path, size_t room)
{
    int file = open(script, O_RDONLY | O_CLOEXEC);
    ssize_t size = file < 0 ? -1 : read(file, path, room);
    char *end, *slash;

    if (file >= 0)
        close(file);
    end = size > 2 ? memchr(path, '\n', (size_t)size) : NULL;
    if (!end || !begins(path, "#!/"))
        return -1;
    *end = 0;
    if (strpbrk(path, " \t\r"))
        return -1;
    memmove(path, path + 2, strlen(path + 2) + 1);
    slash = strrchr(path, '/');
    return begins(slash + 1, "python") ? 0 : -1;
}

/*
 * Let the Python command do it, in this process. Ctrl-C is blocked until that can handle it,
 * unless the caller has it blocked anyway.
 */
_Noreturn void run_python(const struct call *call)
{
    char script[PATH_MAX] = "kycli", python[512];
    char *first[] = {python, "-SP", script, (char *)call->program}, *told[] = {CALLED};
    char **words, **variables;
    sigset_t interrupt, blocked;

    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    if (!script_path(script, sizeof script)) {
        if (!sigprocmask(SIG_BLOCK, &interrupt, &blocked) && !sigismember(&blocked, SIGINT))
            told[0] = HELD;
        words = copy(first, 4, call->arguments);
        variables = copy(told, 1, call->variables);
        if (words && variables) {
            /*
             * Without the module `site`, which takes long; the script makes up for it. And without
             * the directory of the script in the path, as no module is there. Not for `ky` and `kycli`, which are any command, such as one that asks where Python is installed.
             */
            if (!same(call->program, "ky") && !same(call->program, "kycli")
                && !access(script, X_OK) && !find_python(script, python, sizeof python))
                execve(python, words, variables);
            execve(script, words + 2, variables);
        }
        sigprocmask(SIG_SETMASK, &blocked, NULL);
    }
    complain((const char *[]){"kycli: ", script, " cannot be run: ", strerror(errno), "\n", NULL});
    if (errno == ENOENT)
        complain((const char *[]){"hint: install kycli again\n", NULL});
    _exit(1);
}

/* Become a process that nobody waits for; return 0 in the process that was forked, else -1. */
static int become_orphan(void)
{
    pid_t child = fork();

    if (child == 0) {
        child = fork();
        if (child != 0)
            _exit(0);
        return 0;
    }
    if (child > 0)
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
            ;
    return -1;
}

/* Return whether to try now: not while another process has just tried. */
static int is_due(const char *path)
{
    struct timespec now;
    struct stat status;
    int file;

    if (!stat(path, &status)) {
        clock_gettime(CLOCK_REALTIME, &now);
        if (status.st_mtime <= now.tv_sec && now.tv_sec - status.st_mtime < START_SECONDS)
            return 0;
        unlink(path);
    }
    file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file < 0)
        return 0;
    close(file);
    return 1;
}

/*
 * Start the user's server, in a process of its own, if the user wants clients to do that: the file
 * `server` in the config directory says so (kycli/session/control.py).
 */
void start_server(const struct call *call)
{
    char path[PATH_MAX], script[PATH_MAX];
    char *words[] = {script, "server", "start", "--quiet", NULL};
    struct text text = {path, 0, sizeof path};
    const char *base = variable(call->variables, "XDG_CONFIG_HOME"), *below = "/kycli/server";
    struct stat status;
    int nothing;

    if (!base || base[0] != '/') {
        base = variable(call->variables, "HOME");
#ifdef __APPLE__
        below = "/Library/Application Support/kycli/server";
#else
        below = "/.config/kycli/server";
#endif
    }
    if (!base || strlen(base) + 64 > sizeof path)
        return;
    add(&text, base, strlen(base));
    add_field(&text, below);
    if (stat(path, &status) || status.st_uid != geteuid() || script_path(script, sizeof script)
        || runtime_path(call, path, sizeof path, ".starting", 1) || !is_due(path)
        || become_orphan())
        return;
    setsid();
    nothing = open("/dev/null", O_RDWR);
    dup2(nothing, 0);
    dup2(nothing, 1);
    dup2(nothing, 2);
    if (nothing > 2)
        close(nothing);
    execve(script, words, call->variables);
    _exit(127);
}

/* Write to a pipe; return -1 when its reader is gone. */
static int write_pipe(int pipe, const char *bytes, size_t size)
{
    ssize_t done;

    while (size) {
        done = write(pipe, bytes, size);
        if (done < 0 && errno != EINTR)
            return -1;
        if (done > 0) {
            bytes += done;
            size -= (size_t)done;
        }
    }
    return 0;
}

/* Write to a pipe what was read of standard input, and then the rest of it. */
_Noreturn static void feed(int pipe, const struct text *input)
{
    struct pollfd waited[] = {{0, POLLIN, 0}, {pipe, 0, 0}};
    static char block[65536];
    ssize_t size;

    signal(SIGPIPE, SIG_IGN);
    close(1); /* or whoever reads them would wait for this process */
    close(2);
    if (!write_pipe(pipe, input->at, input->size))
        for (;;) {
            if (poll(waited, 2, -1) < 0)
                continue;
            if (waited[1].revents) /* read no more when nobody wants it */
                break;
            size = read(0, block, sizeof block);
            if (size < 0 && (errno == EINTR || errno == EAGAIN))
                continue;
            if (size <= 0 || write_pipe(pipe, block, (size_t)size))
                break;
        }
    _exit(0);
}

/*
 * Give back what was read of standard input, so that the Python command reads all of it.
 *
 * start: where reading began in a file; -1 where it is no file.
 */
void give_back(const struct text *input, off_t start)
{
    int ends[2];

    if (start >= 0 ? lseek(0, start, SEEK_SET) == start : !input->size)
        return;
    if (pipe(ends) < 0) {
        complain((const char *[]){"kycli: standard input: ", strerror(errno), "\n", NULL});
        _exit(1);
    }
    if (!become_orphan()) {
        close(ends[0]);
        feed(ends[1], input);
    }
    dup2(ends[0], 0);
    close(ends[0]);
    close(ends[1]);
}
