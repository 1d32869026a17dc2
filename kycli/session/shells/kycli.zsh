# The commands of kycli as functions of zsh: eval "$(kycli init zsh)"
#
# Each call is a connection of its own to a server of this shell's, over a Unix socket; what is sent
# is described in kycli/session/protocol.py. So nothing is kept between calls that a subshell, a trap
# within a call or Ctrl-C could leave wrong, and no program inherits a descriptor. To hang up cancels.
# The first call starts the server, kycli/session/shells/zsh.py. Where that cannot work, the function
# runs the command.

typeset -g _kycli_python=@PYTHON@ _kycli_bin=@BIN@ _kycli_version=@VERSION@
typeset -g _kycli_runtime=@RUNTIME@ _kycli_socket=@RUNTIME@/@VERSION@-$$.sock _kycli_off= _kycli_failures=0
typeset -g _kycli_types= _kycli_exported=
typeset -g _kycli_patience=15 # the seconds after which it is looked whether the server is stopped

# Run a program as a process, in the place of its function.
function _kycli_plain {
    if [[ -x $_kycli_bin/$1 ]]; then
        command $_kycli_bin/$1 "${@:2}"
    else
        command "$@"
    fi
}

# Say why a call failed, as a command does.
function _kycli_error {
    builtin print -ru2 -- "kycli: $1"
    if [[ -n $2 ]]; then
        builtin print -ru2 -- "hint: $2"
    fi
    return 1
}

# Connect to a server that is started first, unless another process of this shell was faster.
function _kycli_connect {
    _kycli_start && [[ -O $_kycli_runtime && ! -h $_kycli_runtime ]] && zsocket $_kycli_socket 2>/dev/null
}

# Start the server of this shell, and wait until it listens.
function _kycli_start {
    [[ -z $_kycli_off && -x $_kycli_python ]] || return 1
    # Stopped by the terminal it could not be.
    $_kycli_python -SP -X utf8 -c @BEGIN@ kycli.session.shells.zsh $_kycli_version $$ </dev/null &>/dev/null
    case $? in
        0)
            _kycli_failures=0
            return 0
            ;;
        3) # The package was upgraded: what follows is done by the script of the new version.
            local _kycli_script=
            _kycli_script="$(_kycli_plain kycli init zsh 2>/dev/null)" && eval "$_kycli_script" &&
                $_kycli_python -SP -X utf8 -c @BEGIN@ kycli.session.shells.zsh $_kycli_version $$ \
                    </dev/null &>/dev/null && return 0
            ;;
        4) # It cannot start, and is not asked again.
            _kycli_off=1
            ;;
        *) # Ctrl-C may end Python with any code before it can act. This is tried again, three times.
            _kycli_failures=$(( _kycli_failures + 1 ))
            if (( _kycli_failures > 2 )); then
                _kycli_off=1
            fi
            ;;
    esac
    return 1
}

# Take note which variables are exported, as what expands to their number, with one more, and to them.
function _kycli_look_at_variables {
    local _kycli_name= _kycli_count=1
    _kycli_exported= _kycli_types=$_kycli_text
    for _kycli_name in @VARIABLES@; do
        if [[ ${(Pt)_kycli_name} == *export* ]]; then
            _kycli_exported+="$_kycli_name=\$$_kycli_name"$'\0' _kycli_count=$(( _kycli_count + 1 ))
        fi
    done
    _kycli_exported=$_kycli_count$'\0'$_kycli_exported
}

# Run a program with its words by the server.
#
# In $( ) this runs in a process that was just forked, where whatever is touched first costs a page.
# So this function is long, has few variables and no loop, and what is rare stands in others.
function _kycli_call {
    local REPLY= _kycli_kind= _kycli_variable= _kycli_status= _kycli_stream= _kycli_text= _kycli_rest= \
        _kycli_mask=0077 _kycli_where=. _kycli_here= _kycli_sent=
    # -v stands after the name of the function, or after the verb.
    if [[ $2 == -[va] || $3 == -[va] && $1 == (ky|kycli) ]]; then
        if [[ $2 == -[va] ]]; then
            _kycli_rest=2
        else
            _kycli_rest=3
        fi
        _kycli_kind=$argv[_kycli_rest] _kycli_variable=$argv[_kycli_rest+1]
        # Most set a plain variable.
        if [[ $_kycli_variable != [a-z]## || $parameters[$_kycli_variable] != (|scalar(|-local)) ]] &&
            ! _kycli_may_set $1 "${@[$_kycli_rest,$_kycli_rest + 1]}"; then
            return 1
        fi
        argv[_kycli_rest,_kycli_rest+1]=()
        if [[ $_kycli_kind == -a ]]; then
            argv[2,1]=(-0)
        fi
    fi
    case $1 in
        kyg|kys|kyd|kyl|kyv|kypush|kyrem|kypatch) ;; # they create no file, or one whose mode is known
        kyuse|ky|kycli)
            _kycli_mask=
            if (( ${argv[(Ie)--here]} && ! ${argv[(Ie)--]} )) && [[ $1 == kyuse || -n ${(M)argv:#use} ]]; then
                _kycli_kind=here _kycli_here=KYCLI_HERE=1
            fi
            ;;
        *) _kycli_mask= ;;
    esac
    if [[ "$*" == *$'\0'* ]]; then
        _kycli_error 'an argument holds a NUL byte' 'give bytes on standard input: printf … | kys KEY -'
        return 1
    fi
    if [[ . -ef $PWD ]]; then # else it was renamed or replaced, and the server asks /proc
        _kycli_where=$PWD
    fi
    # Descriptors that are closed are told when they are used.
    if [[ -t 0 ]]; then
        _kycli_rest=$'\0t'
    else
        _kycli_rest=$'\0p'
    fi
    if [[ -t 1 && -z $_kycli_kind ]]; then
        _kycli_rest+=t
    else
        _kycli_rest+=p
    fi
    if [[ -t 2 ]]; then
        _kycli_rest+=to$'\0'
    else
        _kycli_rest+=po$'\0'
    fi
    # To ask for the attributes of each variable takes longer than all the rest.
    _kycli_text=@TYPES@
    if [[ $_kycli_text != "$_kycli_types" ]]; then
        _kycli_look_at_variables
    fi
    _kycli_rest+=$1$'\0'"${(e)_kycli_exported}"$_kycli_here$'\0'$(( $# - 1 ))$'\0'
    if (( $# > 1 )); then
        _kycli_rest+=${(pj:\0:)argv[2,-1]}$'\0'
    fi
    _kycli_rest+=$'-\0'
    _kycli_text=$sysparams[pid]$'\0'$_kycli_where$'\0'$_kycli_mask
    # If the umask counts, it is printed at the end of the text: three digits and a newline.
    _kycli_text=$'KYCLI1\0'$(( $#_kycli_text + $#_kycli_rest + (! $#_kycli_mask) * 4 ))$'\0'$_kycli_text

    trap '' PIPE
    {
        # Whoever could make this directory could read what is sent.
        if [[ -O $_kycli_runtime && ! -h $_kycli_runtime ]] && zsocket $_kycli_socket 2>/dev/null ||
            _kycli_connect; then
            if [[ -n $_kycli_mask ]]; then
                syswrite -o $REPLY -- "$_kycli_text$_kycli_rest" && _kycli_sent=1
            else
                # There is no other way to learn the umask without a process.
                syswrite -o $REPLY -- "$_kycli_text" && umask >&$REPLY 2>/dev/null &&
                    syswrite -o $REPLY -- "$_kycli_rest" && _kycli_sent=1
            fi
            _kycli_text=
            if [[ -n $_kycli_sent ]] &&
                { sysread -t $_kycli_patience -i $REPLY _kycli_text || _kycli_wait $? _kycli_text 8192 }; then
                # Most replies are a chunk, and short: see protocol.reply().
                if [[ $_kycli_text[2,4] != $'\0'1$'\0' ]] ||
                    (( $#_kycli_text != 15 + $_kycli_text[7,14] )); then
                    _kycli_receive "$@"
                    return
                fi
                _kycli_status=$_kycli_text[1] _kycli_stream=$_kycli_text[5]
                _kycli_text=$_kycli_text[16,-1]
                exec {REPLY}>&-
                REPLY=
            fi
        fi
    } always {
        # zsh forgets a Ctrl-C that it meets in here. So this has something to do only after
        # one, and where the server has gone.
        if [[ -n $REPLY ]]; then
            { exec {REPLY}>&- } 2>/dev/null
            REPLY=
        fi
    }
    if [[ -z $_kycli_status ]]; then
        _kycli_failed "$@"
        return
    fi
    if [[ -z $_kycli_kind ]]; then
        syswrite -o $_kycli_stream -- "$_kycli_text" || _kycli_unwritten $_kycli_stream
    elif [[ $_kycli_kind$_kycli_stream == -v1 ]] && (( ! ${argv[(Ie)--raw]} )); then
        : ${(P)_kycli_variable::=${_kycli_text%$'\n'}}
    elif [[ $_kycli_stream == 2 ]]; then
        syswrite -o 2 -- "$_kycli_text"
        _kycli_text=
        _kycli_put "$@"
    else
        _kycli_put "$@"
    fi
    return $_kycli_status
}

# Go on with a sysread that ended with a status: STATUS VARIABLE BYTES. While nothing comes, a server
# that is stopped is killed, which ends the connection; any other one may take its time.
function _kycli_wait {
    local -i _kycli_ended=$1
    while (( _kycli_ended == 4 )); do
        $_kycli_python -SP -X utf8 -c @BEGIN@ kycli.session.shells.stopped $$ </dev/null &>/dev/null
        sysread -t $_kycli_patience -i $REPLY -s $3 $2
        _kycli_ended=$?
    done
    return $_kycli_ended
}

# Read a reply that is not one short chunk, of which _kycli_text is the beginning, and do what it says.
function _kycli_receive {
    local _kycli_n=-1 _kycli_code= _kycli_more=
    local -a _kycli_streams _kycli_chunks _kycli_fields
    while [[ -z $_kycli_status ]]; do
        while (( _kycli_n )); do
            _kycli_fields=("${(@ps:\0:)_kycli_text[1,30]}")
            if (( $#_kycli_fields < 3 )); then
                break
            fi
            if [[ $_kycli_fields[2] != <-> ]]; then
                _kycli_failed "$@"
                return
            fi
            _kycli_more=$(( $#_kycli_fields[1] + $#_kycli_fields[2] + 2 ))
            if (( _kycli_n < 0 )); then
                _kycli_code=$_kycli_fields[1] _kycli_n=$_kycli_fields[2]
                _kycli_text=${_kycli_text:$_kycli_more}
            elif _kycli_chunk $_kycli_fields[2] $_kycli_more; then
                _kycli_streams+=($_kycli_fields[1])
                _kycli_n=$(( _kycli_n - 1 ))
            else
                _kycli_failed "$@"
                return
            fi
        done
        if (( ! _kycli_n )) && [[ -n $_kycli_code ]]; then
            _kycli_status=$_kycli_code
        elif (( _kycli_n )) &&
            { sysread -t $_kycli_patience -i $REPLY _kycli_more || _kycli_wait $? _kycli_more 8192 }; then
            _kycli_text+=$_kycli_more
        else
            _kycli_failed "$@"
            return
        fi
    done
    exec {REPLY}>&-
    REPLY=
    if [[ $_kycli_status == [?\<] ]]; then
        _kycli_by_hand "$@"
    else
        _kycli_take "$@"
    fi
    return $_kycli_status
}

# Take the bytes of a chunk from _kycli_text, after those of its head, and read what is missing.
function _kycli_chunk {
    local _kycli_left=$(( $1 - ($#_kycli_text - $2) )) _kycli_part=
    local -a _kycli_parts
    if (( _kycli_left <= 0 )); then
        _kycli_chunks+=("${_kycli_text:$2:$1}")
        _kycli_text=${_kycli_text:$(( $1 + $2 ))}
        return 0
    fi
    _kycli_parts=("${_kycli_text:$2}")
    while (( _kycli_left > 0 )); do
        _kycli_part=$(( _kycli_left < 262144 ? _kycli_left : 262144 ))
        sysread -t $_kycli_patience -i $REPLY -s $_kycli_part _kycli_more ||
            _kycli_wait $? _kycli_more $_kycli_part || return 1
        _kycli_parts+=("$_kycli_more")
        _kycli_left=$(( _kycli_left - $#_kycli_more ))
    done
    _kycli_text=
    _kycli_chunks+=("${(j::)_kycli_parts}")
}

# There is no reply. What changes nothing, or was not sent, is done by a process.
function _kycli_failed {
    if [[ -n $_kycli_sent &&
        "$1 $2" != (kyg|kyl|(ky|kycli)\ (get|exists|count|keys|scan|ls|search|history|diff|help|version))(| *) ]]; then
        _kycli_error "the server ended before it answered, so whether '$1' was done is not known" \
            'look, and do it again if it was not'
        return 1
    fi
    _kycli_by_hand "$@"
    return $_kycli_status
}

# Do what the server left to a process.
function _kycli_by_hand {
    trap - PIPE
    if [[ -z $_kycli_kind ]]; then
        _kycli_plain "$@"
        _kycli_status=$?
        return 0
    fi
    # The substitution drops all newlines at the end, so that something has to follow them.
    _kycli_text="$(if [[ $_kycli_kind == here ]]; then
            export KYCLI_HERE=1
        fi
        _kycli_plain "$@"
        builtin printf '%03d' $?)"
    _kycli_status=$(( 10#${_kycli_text[-3,-1]} )) _kycli_text=${_kycli_text[1,-4]}
    _kycli_put "$@"
}

# Put the chunks of a reply where they belong.
function _kycli_take {
    local _kycli_n=
    _kycli_text=
    for (( _kycli_n = 1; _kycli_n <= $#_kycli_chunks; _kycli_n++ )); do
        if [[ -n $_kycli_kind && $_kycli_streams[_kycli_n] == 1 ]]; then
            _kycli_text+=$_kycli_chunks[_kycli_n]
        elif ! syswrite -o $_kycli_streams[_kycli_n] -- "$_kycli_chunks[_kycli_n]"; then
            _kycli_unwritten $_kycli_streams[_kycli_n]
        fi
    done
    if [[ -n $_kycli_kind ]]; then
        _kycli_put "$@"
    fi
}

# Set what the call is to set to _kycli_text.
function _kycli_put {
    case $_kycli_kind in
        -a)
            if [[ -n $_kycli_text ]]; then
                : ${(AP)_kycli_variable::="${(@ps:\0:)${_kycli_text%$'\0'}}"}
            else
                set -A $_kycli_variable
            fi
            ;;
        -v)
            if (( ! ${argv[(Ie)--raw]} )); then
                _kycli_text=${_kycli_text%$'\n'}
            fi
            : ${(P)_kycli_variable::=$_kycli_text}
            ;;
        here)
            if [[ $_kycli_status == 0 ]]; then
                export KYCLI_SCOPE=${_kycli_text%$'\n'}
            fi
            ;;
    esac
    return 0
}

# A stream could not be written to. A closed pipe is no error.
function _kycli_unwritten {
    local _kycli_why=
    syserror -e _kycli_why
    if [[ $1 == 1 && $_kycli_why != 'Broken pipe' ]]; then
        _kycli_error "cannot write to standard output: $_kycli_why"
        _kycli_status=1
    fi
    return 0
}

# Say that a variable cannot take the value, unless it can: PROGRAM -v NAME, or -a.
function _kycli_may_set {
    if (( $# < 3 )); then
        _kycli_error "$2 needs a value: $2 NAME" "as in: $1 $2 NAME KEY"
    elif [[ $3 != [A-Za-z_][A-Za-z0-9_]# || $3 == (_kycli_*|REPLY|argv|status) ]]; then
        _kycli_error "$2: ${(qqqq)3} is no name of a variable that can be set" "as in: $1 $2 NAME KEY"
    elif [[ $parameters[$3] == *readonly* ]]; then
        _kycli_error "$2: the variable $3 is read-only"
    elif [[ $2 == -a && $parameters[$3] == (*special*|association*|integer*|float*) ]]; then
        _kycli_error "$2: $3 is ${parameters[$3]%%-*}, and no array" "unset $3"
    elif [[ $2 == -v && $parameters[$3] == (integer*|float*|array*|association*) ]]; then
        # What is assigned to a number is evaluated, which could run anything.
        _kycli_error "$2: $3 is ${parameters[$3]%%-*}, and cannot take every value" "unset $3"
    fi
}

# The functions; none where zsh lacks what they need.
if zmodload zsh/net/socket zsh/system zsh/parameter 2>/dev/null; then
    for _kycli_name in @NAMES@; do
        functions[$_kycli_name]="_kycli_call $_kycli_name \"\$@\""
    done
    unset _kycli_name
    _kycli_text=@TYPES@
    _kycli_look_at_variables # so that no subshell has to do it
    unset _kycli_text
fi
