/* The connection to the user's server. */

#include "ky.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/sockios.h>
#endif

/* How long the server may take to read a request; then the Python command does it. */
#define TIMEOUT_MS 1000

/* How long a server may be stopped in a request before it is given up. */
#define STOPPED_MS 5000

/* How long the command may take to end after Ctrl-C. */
#define CANCEL_MS 500

#define RETRY_MS 2

static volatile sig_atomic_t interrupted;
static volatile sig_atomic_t connected = -1;

/* Cancel a request that runs, by a byte NUL, and withdraw one that does not run yet. */
static void cancel(int server)
{
    if (send(server, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return; /* it has ended */
    shutdown(server, SHUT_WR);
}

static void interrupt(int signal)
{
    int kept = errno;

    (void)signal;
    interrupted = 1;
    if (connected >= 0)
        cancel(connected);
    errno = kept;
}

/* A shell ends its loop only when the command in it dies of the signal. */
void die_of_interrupt(void)
{
    signal(SIGINT, SIG_DFL);
    raise(SIGINT);
    _exit(130); /* where it is blocked */
}

/* Handle Ctrl-C unless the caller has it ignored. */
static void handle_interrupts(void)
{
    struct sigaction ours = {0}, theirs;

    ours.sa_handler = interrupt;
    if (!sigaction(SIGINT, &ours, &theirs) && theirs.sa_handler == SIG_IGN)
        sigaction(SIGINT, &theirs, NULL);
}

/* Let Ctrl-C end this process again, and end it if there was one. */
static void release_interrupts(void)
{
    struct sigaction ours;

    connected = -1;
    if (!sigaction(SIGINT, NULL, &ours) && ours.sa_handler == interrupt)
        signal(SIGINT, SIG_DFL);
    if (interrupted)
        die_of_interrupt();
}

/*
 * Find a file of the server's, in a directory that is the user's alone; return -1 where there is none.
 *
 * ending: what follows the version in its name.
 * create: whether to make the directory.
 */
int runtime_path(const struct call *call, char *path, size_t room, const char *ending, int create)
{
    struct text text = {path, 0, room};
    const char *directory = variable(call->variables, "XDG_RUNTIME_DIR");
    const char *name = "/kycli";
    struct stat status;
    uid_t user = geteuid();

    if (user != getuid() || getegid() != getgid())
        return -1; /* the variables are those of another user */
    if (!directory || directory[0] != '/') {
        directory = variable(call->variables, "TMPDIR");
        if (!directory || directory[0] != '/')
            directory = "/tmp";
        name = "/kycli-";
    }
    if (strlen(directory) + 32 + sizeof KYCLI_VERSION > room)
        return -1;
    add(&text, directory, strlen(directory));
    add_field(&text, name);
    text.size--;
    if (name[6]) {
        add_number(&text, user, 10);
        text.size--;
    }
    if (create)
        mkdir(path, 0700);
    if (lstat(path, &status) || !S_ISDIR(status.st_mode) || status.st_uid != user
        || (status.st_mode & 077))
        return -1;
    add(&text, "/" KYCLI_VERSION, sizeof KYCLI_VERSION);
    return add_field(&text, ending);
}

/* Return whether the server runs as this user, and find its process. */
static int is_ours(int server, pid_t *process)
{
#ifdef SO_PEERCRED
    struct ucred peer;
    socklen_t size = sizeof peer;

    if (getsockopt(server, SOL_SOCKET, SO_PEERCRED, &peer, &size))
        return 0;
    *process = peer.pid;
    return peer.uid == geteuid() && peer.gid == getegid();
#else
    uid_t user;
    gid_t group;

    *process = 0;
    return !getpeereid(server, &user, &group) && user == geteuid();
#endif
}

static int connect_to(const struct call *call, pid_t *process)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timespec pause = {0, RETRY_MS * 1000000};
    int server, left = TIMEOUT_MS / RETRY_MS;

    if (runtime_path(call, address.sun_path, sizeof address.sun_path, ".sock", 0))
        return -1;
#ifdef SOCK_CLOEXEC
    server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
#else
    server = socket(AF_UNIX, SOCK_STREAM, 0);
    fcntl(server, F_SETFD, FD_CLOEXEC);
    fcntl(server, F_SETFL, O_NONBLOCK);
#endif
    if (server < 0)
        return -1;
#ifdef SO_NOSIGPIPE
    setsockopt(server, SOL_SOCKET, SO_NOSIGPIPE, &(int){1}, sizeof(int));
#endif
    while (connect(server, (struct sockaddr *)&address, sizeof address)) {
        /* EAGAIN: so many others are about to be accepted that there is no room for this one. */
        if ((errno != EAGAIN && errno != EINTR) || interrupted || !left--) {
            close(server);
            return -1;
        }
        nanosleep(&pause, NULL);
    }
    if (!is_ours(server, process)) {
        close(server);
        return -1;
    }
    return server;
}

/* Wait until the connection can be read or written. Return 0 when the time is up, -1 on a signal. */
static int wait_for(int server, short event, int milliseconds)
{
    struct pollfd waited = {server, event, 0};

    return poll(&waited, 1, milliseconds);
}

static int send_all(int server, const struct text *request)
{
    size_t sent = 0;
    ssize_t done;

    while (sent < request->size) {
        if (interrupted)
            return -1;
        done = send(server, request->at + sent, request->size - sent, MSG_NOSIGNAL);
        if (done >= 0)
            sent += (size_t)done;
        else if (errno == EAGAIN && wait_for(server, POLLOUT, TIMEOUT_MS))
            continue;
        else if (errno != EINTR)
            return -1;
    }
    return 0;
}

/* Return whether the server has not read all of the request; no where that cannot be known. */
static int is_unread(int server)
{
#ifdef SIOCOUTQ
    int unread;

    return !ioctl(server, SIOCOUTQ, &unread) && unread > 0;
#else
    (void)server;
    return 0;
#endif
}

/* Read the beginning of a file of proc(5), as a text; it is empty where there is none. */
static void read_proc(pid_t process, const char *name, char *into, size_t room)
{
    char path[64];
    struct text text = {path, 0, sizeof path};
    ssize_t size;
    int file;

    into[0] = 0;
    add(&text, "/proc/", 6);
    add_number(&text, (unsigned long)process, 10);
    text.size--;
    add_field(&text, name);
    file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return;
    size = read(file, into, room - 1);
    close(file);
    if (size > 0)
        into[size] = 0;
}

/* Return whether a process is stopped, as by SIGSTOP. */
static int is_stopped(pid_t process)
{
    char status[512];
    char *end;

    read_proc(process, "/stat", status, sizeof status);
    end = strrchr(status, ')'); /* what is before it is the name of the program */
    return end && (end[2] == 'T' || end[2] == 't');
}

/*
 * Return whether the server cannot go on: all of its workers are stopped, or itself where it has
 * none. There is no other sign of life while a command runs, however long it takes; a false
 * alarm would leave the user with a command of which nobody knows whether it was done.
 */
static int is_hung(pid_t server)
{
    char name[64], children[2048], *at;
    struct text text = {name, 0, sizeof name};
    pid_t worker;
    int workers = 0;

    if (server <= 0)
        return 0;
    add(&text, "/task/", 6);
    add_number(&text, (unsigned long)server, 10);
    text.size--;
    add_field(&text, "/children");
    read_proc(server, name, children, sizeof children);
    for (at = children; *at >= '0' && *at <= '9'; at += *at == ' ') {
        for (worker = 0; *at >= '0' && *at <= '9'; at++)
            worker = worker * 10 + (*at - '0');
        if (!is_stopped(worker))
            return 0;
        workers++;
    }
    return workers || is_stopped(server);
}

/*
 * Wait for more of the reply. Return REPLIED when there is some, DECLINED when the server will
 * never begin, and HUNG when it cannot go on.
 */
static enum outcome await(int server, pid_t process, int *taken)
{
    int found, stopped = 0;

    for (;;) {
        found = wait_for(server, POLLIN, interrupted ? CANCEL_MS : TIMEOUT_MS);
        if (found > 0)
            return REPLIED;
        if (found < 0)
            continue;
        if (interrupted)
            return UNKNOWN;
        if (!*taken && is_unread(server)) {
            /* What is unread after this is never begun, so it is known that nothing is done. */
            shutdown(server, SHUT_WR);
            if (is_unread(server))
                return DECLINED;
        }
        *taken = 1;
        stopped = is_hung(process) ? stopped + TIMEOUT_MS : 0;
        if (stopped >= STOPPED_MS)
            return HUNG;
    }
}

static enum outcome read_reply(int server, pid_t process, struct text *reply)
{
    enum outcome outcome;
    size_t seen = 0, left = 0;
    ssize_t size;
    int taken = 0;

    reply->size = 0;
    while (!is_whole(reply, &seen, &left)) {
        outcome = await(server, process, &taken);
        if (outcome != REPLIED)
            return outcome;
        taken = 1;
        if (grow(reply, reply->size ? reply->size : 4096))
            return UNKNOWN;
        size = recv(server, reply->at + reply->size, reply->room - reply->size, 0);
        if (size > 0)
            reply->size += (size_t)size;
        else if (size == 0)
            return UNKNOWN;
#ifdef __linux__
        else if (errno == ECONNRESET && !reply->size)
            return NO_SERVER; /* it ended before it had read all of the request */
#endif
        else if (errno != EAGAIN && errno != EINTR)
            return UNKNOWN;
    }
    return meaning(reply);
}

/* Send a request and read the reply. After Ctrl-C this process ends, when the command has ended. */
enum outcome exchange(const struct call *call, const struct text *request, struct text *reply)
{
    enum outcome outcome;
    pid_t process;
    int server;

    server = connect_to(call, &process);
    if (server < 0)
        return NO_SERVER;
    handle_interrupts();
    if (send_all(server, request)) {
        outcome = DECLINED; /* what was sent in part is never begun */
    } else {
        connected = server;
        if (interrupted)
            cancel(server);
        outcome = read_reply(server, process, reply);
    }
    release_interrupts();
    if (outcome != REPLIED) /* which is soon followed by the end of this process */
        close(server);
    return outcome;
}
