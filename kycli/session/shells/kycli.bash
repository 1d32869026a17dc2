# The commands of kycli as functions of bash: eval "$(kycli init bash)"
#
# A function writes a request to a pipe that a server of this shell reads, and reads the reply from a
# pipe of its own process. The first call starts the server; kycli/session/shells/bash.py says what
# is written. A builtin (builtin.c) makes most calls, faster than functions can. Functions make the
# others, and all where bash cannot load it. Where they cannot work, they run the command.
#
# 64  requests: all processes of the shell write, the server reads, and ends when nobody can write
# 65  whether there is a server: it alone can write here, and never does. So this is at its end, and
#     `read -t 0` succeeds, when there is none. That cannot be mistaken, as a process number can.
# 66  holds a line, which who starts a server takes, and the server gives back
# 67  replies to this process; its server opens it through /proc
#
# Bash gives 63 and what is below it to process substitutions and coprocesses.
#
# Any of these functions may be left at any command, by Ctrl-C. What protects the next call:
# as long as a reply may be under way, __kycli_busy is set, or __kycli_ready is empty while
# __kycli_link is 2; and then another pipe takes its place.
# A bare `return` in a trap, or in what it calls, has the status of what the trap interrupted. So each
# one here says its own.
# Every reply has the number of its request. `read -N`, mapfile and read from files are avoided: if
# interrupted, they leave bytes behind for the next read of any file. So are compound assignments to
# arrays, of which bash 5.2 may die.
#
# shellcheck shell=bash

# An alias of the name of a function or of a builtin must not get into the definitions.
__kycli_aliases=
if shopt -q expand_aliases; then
    __kycli_aliases=1
    shopt -u expand_aliases
fi

# The pipes of this shell, as far as it has none of its own yet.
function __kycli_open {
    local __kycli_n
    [[ ${__kycli_shell-} == "$$" ]] && __kycli_has_pipes && return 0
    for __kycli_n in 64 65 66 67; do
        # A pipe is that of a shell that started this one.
        [[ ! -e /dev/fd/$__kycli_n || -p /dev/fd/$__kycli_n ]] || return 1
    done
    __kycli_make_pipes
}

function __kycli_has_pipes {
    [[ -p /dev/fd/64 && -p /dev/fd/65 && -p /dev/fd/66 ]]
}

function __kycli_make_pipes {
    local __kycli_q='' __kycli_r='' __kycli_s=''
    # A here-string is a pipe that holds a newline. Opened for writing too, it never ends.
    {
        command exec {__kycli_q}<<<'' {__kycli_r}<<<'' {__kycli_s}<<<'' &&
            [[ -p /dev/fd/$__kycli_q ]] && read -r -u "$__kycli_q" _ && read -r -u "$__kycli_r" _ &&
            command exec 64<>"/dev/fd/$__kycli_q" 65<&"$__kycli_r" 66<>"/dev/fd/$__kycli_s" &&
            __kycli_close "$__kycli_q" "$__kycli_r" "$__kycli_s"
    } 2>/dev/null || {
        __kycli_close "$__kycli_q" "$__kycli_r" "$__kycli_s"
        return 1
    }
    __kycli_shell=$BASHPID __kycli_pid='' __kycli_off='' __kycli_token=''
}

# Close descriptors, as far as there are any. Where few are allowed, a call that failed must leave
# none. `command`, here and elsewhere: in POSIX mode a bare `exec` that fails ends the shell.
function __kycli_close {
    local __kycli_n
    for __kycli_n; do
        [[ ! $__kycli_n ]] || command exec {__kycli_n}<&-
    done
}

# A pipe for replies to this process, as 67.
function __kycli_reopen {
    local __kycli_q=''
    {
        command exec {__kycli_q}<<<'' && [[ -p /dev/fd/$__kycli_q ]] && read -r -u "$__kycli_q" _ &&
            command exec 67<>"/dev/fd/$__kycli_q" {__kycli_q}<&-
    } 2>/dev/null || {
        __kycli_close "$__kycli_q"
        return 1
    }
    __kycli_fd=67 __kycli_link=0 __kycli_pid=$BASHPID __kycli_ready=''
}

# Make ready for calls by this process, which is a new one, or has left its last call.
function __kycli_enter {
    [[ ! ${__kycli_off-} ]] || return 1
    if [[ ${__kycli_pid-} ]]; then
        if [[ $__kycli_pid == "$BASHPID" && ${__kycli_token-} ]]; then
            __kycli_token=''
            read -r -t 0 -u 66 || printf '\n' >&66
        fi
    elif [[ ${__kycli_shell-} != "$BASHPID" ]]; then
        # Perhaps it was not forked, but started. Are these the pipes of that shell?
        [[ /dev/fd/64 -ef /proc/${__kycli_shell-}/fd/64 &&
        /dev/fd/65 -ef /proc/${__kycli_shell-}/fd/65 &&
        /dev/fd/66 -ef /proc/${__kycli_shell-}/fd/66 ]] || return 1
    fi
    __kycli_seq=${__kycli_seq:-0} __kycli_busy=''
    __kycli_reopen
}

# Start a server unless there is one; 1 when it cannot be.
function __kycli_start {
    local __kycli_n=0 __kycli_q='' __kycli_w='' __kycli_word=''
    until read -r -t 0.1 -u 66 __kycli_word; do
        read -r -t 0 -u 65 || return 0
        __kycli_n=$((__kycli_n + 1))
        if [ "$__kycli_n" = 50 ]; then
            # Who took the line was killed before the server could give it back.
            [[ $__kycli_shell == "$BASHPID" ]] && __kycli_make_pipes && __kycli_reopen || return 1
        elif [ "$__kycli_n" = 100 ]; then
            return 1
        fi
    done
    __kycli_token=1
    if read -r -t 0 -u 65 && [[ -x $__kycli_python ]]; then
        {
            command exec {__kycli_q}<<<'' && command exec {__kycli_w}<>"/dev/fd/$__kycli_q" &&
                ("$__kycli_python" -SP -X utf8 -c @BEGIN@ kycli.session.shells.bash "$__kycli_version" \
                    "$__kycli_shell" "$__kycli_w" </dev/null >/dev/null &)
        } 2>/dev/null || :
        __kycli_close "$__kycli_w"
        # The newline, and then what the server says; or the end, when it ended.
        if [[ $__kycli_q ]] && read -r -u "$__kycli_q" _; then
            read -r -t 30 -u "$__kycli_q" __kycli_word || :
        fi
        __kycli_close "$__kycli_q"
        if [[ $__kycli_word == ready ]]; then
            __kycli_token=''
            return 0
        fi
    fi
    printf '\n' >&66
    __kycli_token=''
    read -r -t 0 -u 65 || return 0
    __kycli_off=1
    return 1
}

# Send the request __kycli_text, number __kycli_id, and put its reply into __kycli_reply. If
# __kycli_sent is 1, the builtin has sent it, and __kycli_reply is what it got, or empty.
# 1: nothing was done. 2: whether it was done is not known.
function __kycli_exchange {
    local __kycli_body='' __kycli_head=$__kycli_text __kycli_tries=0 __kycli_code=1
    __kycli_has_pipes || return "$((__kycli_sent + 1))"
    if ((${#__kycli_text} > 1000)) || [[ $__kycli_text == *$'\n'* ]]; then
        # One write must be atomic, and printf ends one at a newline.
        { command exec {__kycli_body}<<<"$__kycli_text"; } 2>/dev/null || return 1
        __kycli_short @ "$__kycli_body"
    fi
    while :; do
        if [[ $__kycli_sent == 0 ]]; then
            if read -r -t 0 -u 65; then
                __kycli_start || break
            fi
            printf '%s\0' "$__kycli_head" >&64 || break
            __kycli_sent=1 __kycli_reply=''
        fi
        if [[ $__kycli_reply == "$__kycli_id:never" ]]; then
            __kycli_code=1
        elif [[ $__kycli_reply == "$__kycli_id:"[0-9]* || $__kycli_reply == "$__kycli_id="* ]]; then
            __kycli_code=0
        else
            __kycli_wait && __kycli_code=0 || __kycli_code=$?
        fi
        [[ $__kycli_code == 1 && $__kycli_tries != 3 ]] || break
        __kycli_tries=$((__kycli_tries + 1)) __kycli_sent=0
    done
    __kycli_close "$__kycli_body"
    return "$__kycli_code"
}

# A request about this call, in __kycli_head: what, and for what.
function __kycli_short {
    printf -v __kycli_head '%s\037' K1 "$BASHPID" "$__kycli_fd" "$__kycli_id" \
        "$__kycli_kind" "$__kycli_link" ppp "$1" 1 "$2" "$__kycli_id"
}

# Wait for the reply. 1: the server that it was sent to has ended, and had not taken it. 2: it ended
# and may have done it, or does not answer.
function __kycli_wait {
    local __kycli_c='' __kycli_n=0 __kycli_since=0 __kycli_head __kycli_status
    while :; do
        __kycli_reply=''
        # A time limit makes each byte dear, so it is for the first one; the others are there then.
        IFS= read -r -t 0.2 -n 1 -d '' -u "$__kycli_fd" __kycli_c && __kycli_status=0 ||
            __kycli_status=$?
        [[ ! $__kycli_c ]] || __kycli_status=0 # it came as the time was over
        if [[ $__kycli_status == 0 ]]; then
            [[ $__kycli_c != $'\n' ]] || continue # what a here-string left
            if IFS= read -r -d '' -u "$__kycli_fd" __kycli_reply; then
                __kycli_reply=$__kycli_c$__kycli_reply
                case $__kycli_reply in
                "$__kycli_id:never") return 1 ;;
                "$__kycli_id:lost") return 2 ;;
                "$__kycli_id:busy") __kycli_since=0 ;;
                "$__kycli_id:"* | "$__kycli_id="*) return 0 ;;
                esac
            fi
        elif ((__kycli_status <= 128)); then
            # The server held the other end, and ended. The next one may have taken the request
            # already, and reply to this pipe.
            [[ ! $__kycli_nested ]] && { command exec 67<>/dev/fd/67; } 2>/dev/null || return 2
            __kycli_link=0
            __kycli_n=4
        fi
        [[ $__kycli_status != 0 ]] || continue
        __kycli_n=$((__kycli_n + 1)) __kycli_since=$((__kycli_since + 1))
        if read -r -t 0 -u 65 && ! read -r -t 0 -u "$__kycli_fd"; then
            # A new server says what the last one had not taken.
            __kycli_start || return 2
            __kycli_n=0
            # Its word would be taken for one about the request when that is sent again.
            ! read -r -t 0 -u "$__kycli_fd" || continue
            __kycli_short '?' ''
            printf '%s\0' "$__kycli_head" >&64 || return 2
        elif ((__kycli_n == 5)); then
            __kycli_n=0
            __kycli_short '?' ''
            printf '%s\0' "$__kycli_head" >&64 || return 2
        fi
        ((__kycli_since < 75)) || return 2
    done
}

# A call that the builtin does not make: the first ones of a shell, one inside of another, those with
# long values, to a terminal, into an array, and all where there is no builtin.
function __kycli_slow {
    local __kycli_outer=${__kycli_inner-} __kycli_inner=$BASHPID __kycli_program=$1 __kycli_sent=0
    local __kycli_kind=p __kycli_var='' __kycli_nested='' __kycli_id='' __kycli_reply=''
    shift
    if [ "${1-}" = -v ] || [ "${1-}" = -a ]; then
        __kycli_may_set "$@" || return 1
        __kycli_kind=${1#-} __kycli_var=$2
        shift 2
    fi
    if [[ ${__kycli_pid-} != "$BASHPID" ]]; then
        __kycli_enter || __kycli_reply=:1:-:
    elif [[ $__kycli_busy || $__kycli_link == 2 && ! $__kycli_ready ]]; then
        if [[ $__kycli_outer == "$BASHPID" ]]; then
            # A trap, inside of a call. What that call needs afterwards is hidden until the end of
            # this one, and for the traps inside of this one it is under way until then.
            local __kycli_fd=$((${__kycli_level:-70} + 1)) __kycli_link=0 __kycli_busy=1 __kycli_ready=''
            local __kycli_level=$__kycli_fd
            __kycli_nested=1
            __kycli_nest || __kycli_reply=:1:-:
        else
            __kycli_enter || __kycli_reply=:1:-:
        fi
    fi
    if [[ ! $__kycli_reply ]]; then
        __kycli_seq=$(((__kycli_seq + 81) % 90 + 10))
        __kycli_id=$__kycli_seq
        __kycli_do "$@"
    fi
    __kycli_take "$@" || return "$?"
}

# The rest of a call that the builtin has sent. __kycli_got is the reply, or empty.
function __kycli_went {
    local __kycli_program=$1 __kycli_sent=1 __kycli_kind=p __kycli_var='' __kycli_nested=''
    local __kycli_reply=$__kycli_got
    shift
    if [ "${1-}" = -v ]; then
        __kycli_kind=v __kycli_var=$2
        shift 2
    fi
    __kycli_do "$@"
    __kycli_take "$@" || return "$?"
}

# Get the reply to a call, which the builtin may have sent. From the second call of a process on, the server keeps its end of
# the pipe, and the process closes its own. So the pipe ends when the server does.
function __kycli_do {
    local __kycli_streams=tpt __kycli_code __kycli_text
    [[ $__kycli_kind != p || ! -t 1 ]] || __kycli_streams=ttt
    __kycli_busy=1 __kycli_ready=''
    printf -v __kycli_text '%s\037' K1 "$BASHPID" "$__kycli_fd" "$__kycli_id" "$__kycli_kind" \
        "$__kycli_link" "$__kycli_streams" "$__kycli_program" "$#" "$@" "@VARIABLES@" "$__kycli_id"
    __kycli_exchange && __kycli_code=0 || __kycli_code=$?
    case $__kycli_code in
    1) __kycli_reply=:1:-: ;;
    2) __kycli_reply=:1:u: ;;
    *)
        if [[ ! $__kycli_nested ]]; then
            case $__kycli_link in
            0) __kycli_link=1 ;;
            1)
                # Where few descriptors are allowed by now, each try would leave some: bash does not
                # close them. So the commands serve from here on.
                if { command exec 67</dev/fd/67; } 2>/dev/null; then
                    __kycli_link=2
                elif ! __kycli_reopen; then
                    __kycli_off=1 __kycli_pid=''
                fi
                ;;
            esac
            [[ $__kycli_link != 2 ]] || __kycli_ready=$BASHPID
        fi
        ;;
    esac
    if [[ $__kycli_nested ]]; then
        command exec {__kycli_fd}<&-
    else
        __kycli_busy=''
    fi
}

# Whether the words are those of -v or -a, and name what may be set.
function __kycli_may_set {
    local __kycli_name=${2-}
    [[ $1 == -a || $__kycli_name != *']' ]] || __kycli_name=${__kycli_name%%'['*}
    case $__kycli_name in
    '' | [!a-zA-Z_]* | *[!a-zA-Z0-9_]*) ;;
    __kycli_here) return 0 ;;
    __kycli_*) ;;
    *) return 0 ;;
    esac
    __kycli_err "kycli: $1 needs the name of a variable"$'\n'"hint: kyg -v VAR KEY; kyg -a ARRAY KEY..."$'\n'
    return 1
}

# A pipe of its own for the replies to a call inside of another. Its number is one that bash does not
# give to anything else, lest a late reply get there.
function __kycli_nest {
    local __kycli_q=''
    {
        command exec {__kycli_q}<<<'' && [[ -p /dev/fd/$__kycli_q ]] && read -r -u "$__kycli_q" _ &&
            eval "command exec $__kycli_fd<>/dev/fd/$__kycli_q" && command exec {__kycli_q}<&-
    } 2>/dev/null || {
        __kycli_close "$__kycli_q"
        return 1
    }
}

# Do what a reply says.
function __kycli_take {
    local __kycli_rest __kycli_code __kycli_what __kycli_failed='' __kycli_items __kycli_integers
    [[ $__kycli_reply != "$__kycli_id="* ]] || __kycli_reply=$__kycli_id:0:o:${__kycli_reply#*=}
    __kycli_rest=${__kycli_reply#*:}
    __kycli_code=${__kycli_rest%%:*}
    __kycli_rest=${__kycli_rest#*:}
    __kycli_what=${__kycli_rest%%:*}
    __kycli_rest=${__kycli_rest#*:}
    case $__kycli_what in
    o)
        if [[ $__kycli_kind == v ]]; then
            __kycli_set "$__kycli_rest"
        elif [[ $__kycli_rest ]]; then
            __kycli_out "$__kycli_rest" || :
        fi
        ;;
    s) eval "$__kycli_rest" ;;
    f)
        # shellcheck source=/dev/null
        if [[ -r $__kycli_rest ]]; then
            command . "$__kycli_rest"
            local __kycli_head
            __kycli_short '!' "$__kycli_rest"
            printf '%s\0' "$__kycli_head" >&64 || :
        else
            __kycli_unknown "$@" || return "$?"
            return 0
        fi
        ;;
    u)
        __kycli_unknown "$@" || return "$?"
        return 0
        ;;
    *)
        __kycli_plain "$@" || return "$?"
        return 0
        ;;
    esac
    [[ ! $__kycli_failed ]] || __kycli_code=1
    return "$__kycli_code"
}

# What the script of a reply is made of.

function __kycli_out {
    __kycli_print '%s' "$1"
}

function __kycli_nul {
    __kycli_print '%s\0' "$@"
}

function __kycli_err {
    printf '%s' "$1" >&2 || :
}

function __kycli_set {
    if ! __kycli_is_number "$1" && __kycli_is_integer "$__kycli_var"; then
        __kycli_refuse
    else
        printf -v "$__kycli_var" %s "$1" || __kycli_failed=1
    fi
}

function __kycli_clear {
    __kycli_items=0 __kycli_integers=''
    # Without a compound assignment.
    if mapfile -t "$__kycli_var" </dev/null; then
        ! __kycli_is_integer "${__kycli_var}[0]" || __kycli_integers=1
        mapfile -t "$__kycli_var" </dev/null
    else
        __kycli_failed=1
    fi
}

function __kycli_item {
    if [[ $__kycli_integers && ! $__kycli_failed ]] && ! __kycli_is_number "$1"; then
        __kycli_refuse
    fi
    [[ $__kycli_failed ]] || printf -v "${__kycli_var}[__kycli_items]" %s "$1" || __kycli_failed=1
    __kycli_items=$((__kycli_items + 1))
}

# Bash evaluates what is assigned to an integer variable, which may run commands. So such a variable
# takes numbers alone, and is left empty.

function __kycli_is_number {
    [[ $1 == ?(-)@(0|[1-9]*([0-9])) ]] || return 1
}

# Whether a variable is an integer, or the array that it is in. It is empty afterwards.
function __kycli_is_integer {
    printf -v "$1" %s '' 2>/dev/null || return 1
    while [[ -R $1 ]]; do
        eval "set -- \"\${!$1}\"" # what the reference leads to
    done
    [[ ${!1@a} == *i* ]] || return 1
}

function __kycli_refuse {
    __kycli_failed=1
    __kycli_err "kycli: the integer variable '$__kycli_var' takes decimal numbers alone"$'\n''hint: declare +i, or take another variable'$'\n'
}

# Print to standard output. That nobody reads it is no error, and kills nobody.
function __kycli_print {
    local __kycli_q='' __kycli_trap=''
    if [[ -p /dev/fd/1 || -S /dev/fd/1 ]]; then
        # What is set for SIGPIPE can be had without a process by a pipe alone.
        {
            command exec {__kycli_q}<<<'' && [[ -p /dev/fd/$__kycli_q ]] && read -r -u "$__kycli_q" _ &&
                { trap -p PIPE && printf '\0'; } >"/dev/fd/$__kycli_q" &&
                IFS= read -r -d '' -u "$__kycli_q" __kycli_trap
        } 2>/dev/null || :
        __kycli_close "$__kycli_q"
        trap '' PIPE
        # shellcheck disable=SC2059
        printf "$@" 2>/dev/null || :
        if [[ $__kycli_trap == 'trap -- '* ]]; then
            eval "$__kycli_trap"
        else
            trap - PIPE
        fi
    else
        # shellcheck disable=SC2059
        printf "$@" 2>/dev/null || {
            if [[ -e /dev/fd/1 ]]; then
                __kycli_err $'kycli: cannot write to standard output\n'
            else
                __kycli_err $'kycli: standard output is closed\n'
            fi
            __kycli_failed=1
            return 1
        }
    fi
}

# The server ended in mid-request, or does not answer.
function __kycli_unknown {
    case "$__kycli_program ${1-}" in
    @READING@)
        __kycli_plain "$@" || return "$?"
        return 0
        ;;
    esac
    __kycli_err "kycli: the server of this shell ended or does not answer: whether '$__kycli_program' was done is not known"$'\n''hint: look before you do it again'$'\n'
    return 1
}

# The command itself, as a process.
function __kycli_plain {
    local __kycli_path
    if type -P "$__kycli_program" >/dev/null; then
        __kycli_path=$__kycli_program
    else
        __kycli_path=${__kycli_bin-}/$__kycli_program
    fi
    case $__kycli_kind in
    p) command "$__kycli_path" "$@" || return "$?" ;;
    v) __kycli_plain_text "$@" || return "$?" ;;
    a) __kycli_plain_items "$@" || return "$?" ;;
    esac
}

function __kycli_plain_text {
    local __kycli_got __kycli_failed='' __kycli_word=''
    __kycli_got=$(
        set +e
        {
            command "$__kycli_path" "$@"
            printf '\0%s\0' "$?"
        } | {
            IFS= read -r -d '' __kycli_got
            IFS= read -r -d '' __kycli_code
            IFS= read -r -d '' __kycli_n && __kycli_code=NUL
            printf '%s.%s' "$__kycli_got" "$__kycli_code"
        }
    ) || :
    local __kycli_code=${__kycli_got##*.}
    __kycli_got=${__kycli_got%.*}
    case $__kycli_code in
    *[!0-9]* | '')
        __kycli_set ''
        __kycli_err "$__kycli_has_nul"
        return 1
        ;;
    esac
    for __kycli_word; do
        [[ $__kycli_word != --raw && $__kycli_word != -- ]] || break
    done
    [[ $__kycli_word == --raw ]] || __kycli_got=${__kycli_got%$'\n'}
    __kycli_set "$__kycli_got"
    [[ ! $__kycli_failed ]] || __kycli_code=1
    return "$__kycli_code"
}

function __kycli_plain_items {
    local __kycli_got __kycli_code __kycli_failed='' __kycli_items __kycli_integers
    __kycli_got=$(
        set +e
        {
            command "$__kycli_path" -0 "$@"
            printf '%s\0' "$?"
        } | {
            IFS= read -r -d '' __kycli_code
            while IFS= read -r -d '' __kycli_got; do
                printf '__kycli_item %q\n' "$__kycli_code"
                __kycli_code=$__kycli_got
            done
            printf '__kycli_code=%q\n' "$__kycli_code"
        }
    ) || :
    __kycli_clear
    eval "$__kycli_got"
    [[ ! $__kycli_failed ]] || __kycli_code=1
    return "$__kycli_code"
}

# kycli, ky and kyuse: `use --here SCOPE` sets the scope of this shell, and -v stands after the verb.
function __kycli_verb {
    local __kycli_word __kycli_here='' __kycli_status
    if [ "$1" = kyuse ] || [[ ${2-} == use || ${2-} == kyuse ]]; then
        for __kycli_word; do
            [[ $__kycli_word == --here ]] || continue
            KYCLI_HERE=1 __kycli_slow "$1" -v __kycli_here "${@:2}" && __kycli_status=0 ||
                __kycli_status=$?
            [[ ! $__kycli_here ]] || export KYCLI_SCOPE="$__kycli_here"
            return "$__kycli_status"
        done
    fi
    if [ "${3-}" = -v ] || [ "${3-}" = -a ]; then
        __kycli_slow "$1" "${@:3:2}" "$2" "${@:5}" || return "$?"
    else
        __kycli_slow "$@" || return "$?"
    fi
}

# What is left to do after the builtin: see the statuses in builtin.c.
function __kycli_else {
    local __kycli_failed=''
    case $1 in
    200) __kycli_slow "${@:2}" || return "$?" ;;
    201) __kycli_went "${@:2}" || return "$?" ;;
    202) __kycli_out "$__kycli_got" || return 1 ;;
    *) return "$1" ;;
    esac
}

# Define the function that runs a program with its words. After the program, -v VAR puts what it
# prints into a variable, without the newline at its end; -a ARRAY the items that it prints with
# --null. Bash copies a function whenever it is called, so these have what a loop needs, and no more.
# A shell that this one starts has the functions if they are exported, but never the builtin.
# `||` before `return`, here and above: a trap on errors sees the error of the call, and not one of
# each function.
function __kycli_define {
    local __kycli_body=''
    case $1 in
    ky | kycli | kyuse)
        # shellcheck disable=SC2016
        __kycli_body='
    if [[ ${__kycli_call-} && ( COMMAND == kyuse || ${1-} == *use || ${2-} == -[va] ) ]]; then
        __kycli_verb COMMAND "$@" || return "$?"
        return 0
    fi'
        ;;
    esac
    # shellcheck disable=SC2016
    __kycli_body+='
    if [[ ${__kycli_native-} == "$$" ]]; then
        __kycli_ask COMMAND "$@" || __kycli_else "$?" COMMAND "$@" || return "$?"
    else
        "${__kycli_call:-command}" COMMAND "$@" || return "$?"
    fi'
    eval "function $1 {${__kycli_body//COMMAND/"$1"}
}"
}

__kycli_version=@VERSION@ __kycli_python=@PYTHON@ __kycli_bin=@BIN@
__kycli_has_nul=$'kycli: the value has a NUL byte, which a variable of bash cannot hold\nhint: --b64 prints it as text, --raw as it is\n'

# Functions of bash 5.1 and Linux, outside of a restricted shell. Where they cannot be, the commands
# serve. The variable __kycli_call is not there for a function that is exported alone.
if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 501)) && [[ $OSTYPE == linux* ]] &&
    ! shopt -q restricted_shell && __kycli_open; then
    __kycli_off=''
    __kycli_call=__kycli_slow __kycli_native=''
    if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] <= 503)) &&
        enable -f @BUILTIN@ __kycli_ask 2>/dev/null; then
        __kycli_native=$$
        export -n __kycli_native # which `set -a` exports
    fi
    for __kycli_name in @NAMES@; do
        __kycli_define "$__kycli_name"
    done
    unset __kycli_name
    __kycli_export=@EXPORT@
    if [[ $__kycli_export ]]; then
        # For `bash -c` and programs that run it.
        # shellcheck disable=SC2046
        export -f $(compgen -A function __kycli_) @NAMES@
        export __kycli_bin __kycli_call __kycli_has_nul __kycli_python __kycli_shell __kycli_version
    fi
fi
[[ ! $__kycli_aliases ]] || shopt -s expand_aliases
unset __kycli_aliases
