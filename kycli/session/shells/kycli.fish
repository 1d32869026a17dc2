# The commands of kycli as functions of fish: kycli init fish | source
#
# A call opens two named pipes of this shell: it writes a request to one, and reads the reply from the
# other; kycli/session/shells/fish.py says what is written. The first call starts the server. Where
# that cannot work, the function runs the command.
#
# fish may leave any of these functions at any command, by Ctrl-C. So every reply has the number of
# its request, and nothing that the next call needs is changed on the way.

set -g __kycli_python @PYTHON@
set -g __kycli_bin @BIN@
set -g __kycli_version @VERSION@
set -g __kycli_base @RUNTIME@/@VERSION@-$fish_pid
set -g __kycli_ring 1 2 3 4
set -g __kycli_good
set -g __kycli_variables KYCLI_SCOPE KYCLI_DB_PATH KYCLI_CONFIG KYCLI_DEBUG HOME XDG_CONFIG_HOME XDG_DATA_HOME TZ TMPDIR LOGNAME USER NO_COLOR TERM
set -q __kycli_door; or set -g __kycli_door
set -q __kycli_token; or set -g __kycli_token
set -g __kycli_off
set -g __kycli_failures

# Run a program as a process, in the place of its function.
function __kycli_plain
    if test -x "$__kycli_bin/$argv[1]"
        command $__kycli_bin/$argv[1] $argv[2..]
    else
        command $argv
    end
end

# Say why a call failed, as a command does.
function __kycli_error
    echo -- "kycli: $argv[1]" >&2
    test (count $argv) = 1; or echo -- "hint: $argv[2]" >&2
    return 1
end

# Start the server of this shell, and wait until it takes requests.
function __kycli_start
    test -z "$__kycli_off" -a -x "$__kycli_python"; or return 1
    set -l said ($__kycli_python -SP -X utf8 -c @BEGIN@ kycli.session.shells.fish $__kycli_version $fish_pid </dev/null 2>/dev/null)
    set -l code $status
    if test $code = 3
        # The package was upgraded. The script of the new version does the rest.
        __kycli_plain kycli init fish 2>/dev/null | source
        set said ($__kycli_python -SP -X utf8 -c @BEGIN@ kycli.session.shells.fish $__kycli_version $fish_pid </dev/null 2>/dev/null)
        set code $status
    end
    if test $code != 0 -o (count $said) != 3
        # Ctrl-C may end Python with any code before it can act; so but for 4 it is tried three times.
        set -g __kycli_failures $__kycli_failures x
        test $code = 4 -o (count $__kycli_failures) -gt 2; and set -g __kycli_off 1
        return 1
    end
    # To open a pipe that nobody reads would wait for ever. Here it is there as long as the server.
    set -g __kycli_door /proc/$said[1]/fd/$said[2]
    test -p $__kycli_door; or set -g __kycli_door $__kycli_base.requests
    set -g __kycli_token $said[3]
end

# Whether a command changes nothing, so that it can be done again.
function __kycli_reads
    switch "$argv[1]"
        case kyg kyl
            return 0
        case ky kycli
            contains -- "$argv[2]" get exists count keys scan ls search history diff help version
            return
    end
    return 1
end

# Run a program: KIND PROGRAM WORDS, none of which has the byte US. KIND is p to print what it
# writes, v to put that into __kycli_value, and a to put its items there.
#
# fish takes some microseconds for each command. So what holds as a rule is asked for at once.
function __kycli_call
    set -l __kycli_streams ppp
    # Variables that are set are exported, as a rule.
    set -qu $__kycli_variables
    if not test $status = 13 -a -z "$__kycli_busy" -a -p "$__kycli_door" -a ! -t 0 -a ! -t 1 -a ! -t 2
        # An event handler that runs within a call must not read its reply.
        if test "$__kycli_busy" = $fish_pid
            __kycli_by_hand $argv
            return
        end
        if not test -p "$__kycli_door"; and not __kycli_start
            __kycli_by_hand $argv
            return
        end
        __kycli_look_at_streams $argv
        for __kycli_name in $__kycli_variables
            set -qx $__kycli_name; or set -f $__kycli_name
        end
    end
    set -lx __kycli_busy $fish_pid
    set -qx COLUMNS; and set -l __kycli_columns $COLUMNS
    set -g __kycli_ring $__kycli_ring[2..] $__kycli_ring[1]
    begin
        echo -ns -- \x1fK1\x1f"$__kycli_token$__kycli_ring[1]"\x1f"$PWD"\x1f$umask\x1f$__kycli_streams\x1f"$argv[2]"\x1f"$argv[1]"\x1f"$KYCLI_SCOPE"\x1f"$KYCLI_DB_PATH"\x1f"$KYCLI_CONFIG"\x1f"$KYCLI_DEBUG"\x1f"$HOME"\x1f"$XDG_CONFIG_HOME"\x1f"$XDG_DATA_HOME"\x1f"$TMPDIR"\x1f"$LOGNAME"\x1f"$USER"\x1f"$NO_COLOR"\x1f"$TERM"\x1f"$__kycli_columns"\x1fV\x1f A$argv[3..]\x1f ETZ=$TZ\x1f Z\x1f
        while read -z -d \x1f __kycli_got __kycli_status __kycli_what __kycli_text
            switch "$__kycli_got$__kycli_what"
                case $__kycli_ring[1]'*.'
                    break
                case $__kycli_ring[1]'*+'
                    set -a __kycli_whats $__kycli_what
                    set -a __kycli_texts "$__kycli_text"
            end
        end
    end >>$__kycli_door <$__kycli_base.replies
    switch "$__kycli_got$__kycli_what$__kycli_texts"
        case $__kycli_ring[1]1t.
            echo -n -- "$__kycli_text"
        case $__kycli_ring[1]vt.
            set -g __kycli_value "$__kycli_text"
        case $__kycli_ring[1]0t.
        case $__kycli_ring[1]ht.
            set -e -l __kycli_busy
            __kycli_by_hand $argv
            return
        case $__kycli_ring[1]'*'
            # What two lists say about the same text is at the same place in them.
            set -a __kycli_whats $__kycli_what
            set -a __kycli_texts "$__kycli_text"
            set -g __kycli_value
            for __kycli_what in $__kycli_whats
                __kycli_put $__kycli_what "$__kycli_texts[1]"
                set -e __kycli_texts[1]
            end
        case '*'
            if __kycli_reads $argv[2..]
                set -e -l __kycli_busy
                __kycli_by_hand $argv
                return
            end
            __kycli_error "the server ended before it answered, so whether '$argv[2]' was done is not known" "look, and do it again if it was not"
            return
    end
    return $__kycli_status
end

# Set __kycli_streams of the caller: KIND PROGRAM WORDS.
function __kycli_look_at_streams --no-scope-shadowing
    set __kycli_streams p p p
    test -t 0; and set __kycli_streams[1] t
    # The builtin test knows the descriptors of fish, and not where this function writes to. kys without
    # flags writes nothing. fish forgets a Ctrl-C that meets a program at its end, so there is none then.
    if test -t 1; and test $argv[1] = p; and not status is-command-substitution
        if test $argv[2] != kys; or string match -q -- '-*' $argv[3..]
            command test -t 1; and set __kycli_streams[2] t
        end
    end
    test -t 2; and set __kycli_streams[3] t
    set __kycli_streams (string join '' $__kycli_streams)
end

# Run a program whose words may ask for more than to print: PROGRAM WORDS.
function __kycli_special --no-scope-shadowing
    if contains -- "$argv[2]" -v -a
        __kycli_into $argv
    else if contains -- $argv[1] ky kycli; and contains -- "$argv[3]" -v -a
        __kycli_into $argv[1] $argv[3..4] $argv[2] $argv[5..]
    else if __kycli_is_here $argv
        __kycli_here $argv
    else if string match -q '*'\x1f'*' -- $argv
        __kycli_by_hand p $argv
    else
        __kycli_call p $argv
    end
end

# Whether words set the scope of this shell.
function __kycli_is_here
    contains -- --here $argv; and not contains -- -- $argv; or return
    switch $argv[1]
        case kyuse
            return 0
        case ky kycli
            contains -- use $argv
            return
    end
    return 1
end

# Put a text of a reply where it belongs: WHAT TEXT.
function __kycli_put
    set -l __kycli_text "$argv[2]"
    switch $argv[1]
        case '1n*' '2n*'
            command cat -- $__kycli_text >&(string sub -l 1 $argv[1])
            return
        case 'af*'
            while read -z __kycli_item
                set -a __kycli_value "$__kycli_item"
            end <$__kycli_text
            return
        case '?f*'
            read -z __kycli_text <$__kycli_text
    end
    switch $argv[1]
        case '1*'
            echo -n -- "$__kycli_text"
        case '2*'
            echo -n -- "$__kycli_text" >&2
        case 'v*'
            set -g __kycli_value "$__kycli_text"
    end
end

# Do what the server left to a process: KIND PROGRAM WORDS.
function __kycli_by_hand
    switch $argv[1]
        case p
            __kycli_plain $argv[2..]
            return
        case a
            set -g __kycli_value (__kycli_plain $argv[2] -0 $argv[3..] | string split0)
            return $pipestatus[1]
    end
    set -g __kycli_value (__kycli_plain $argv[2..] | string collect -N -a)
    set -l __kycli_code $pipestatus[1]
    # The newline at the end is dropped; string adds another one to what it prints.
    if contains -- --raw $argv
    else if string match -q '*'\n\n -- "$__kycli_value"
        set -g __kycli_value (string sub -e -2 -- "$__kycli_value" | string collect -N -a)
    else if string match -q '*'\n -- "$__kycli_value"
        set -g __kycli_value (string sub -e -1 -- "$__kycli_value" | string collect -a)
    end
    return $__kycli_code
end

# Set the scope of this shell: PROGRAM WORDS.
function __kycli_here
    set -lx KYCLI_HERE 1
    __kycli_by_hand v $argv; or return
    set -gx KYCLI_SCOPE $__kycli_value
end

# Run a program, and put what it writes into a variable: PROGRAM -v NAME WORDS, or -a.
function __kycli_into --no-scope-shadowing
    if not set -q argv[3]
        __kycli_error "$argv[2] needs a value: $argv[2] NAME" "as in: $argv[1] $argv[2] NAME KEY"
        return
    end
    if not contains -- $argv[3] $__kycli_good
        # Setting it is tried where that does no harm.
        if string match -q '__kycli_*' -- $argv[3]; or test "$argv[3]" = argv; or not begin
                true
                set -l -- $argv[3]
            end 2>/dev/null
            __kycli_error "$argv[2]: '$argv[3]' is no variable that can be set" "as in: $argv[1] $argv[2] NAME KEY"
            return
        end
        set -g __kycli_good $argv[3] $__kycli_good[1..9]
    end
    set -g __kycli_value
    switch "$argv[2]$argv"
        case '*'\x1f'*'
            __kycli_by_hand (string sub -s 2 -- $argv[2]) $argv[1] $argv[4..]
        case '-v*'
            __kycli_call v $argv[1] $argv[4..]
        case '*'
            __kycli_call a $argv[1] $argv[4..]
    end
    set -l __kycli_status $status
    if set -q $argv[3]
        set $argv[3] $__kycli_value
    else
        set -f $argv[3] $__kycli_value
    end
    return $__kycli_status
end

for __kycli_name in @NAMES@
    set -l __kycli_words "'-v*' '-a*' '*'\x1f'*'"
    contains -- $__kycli_name ky kycli; and set -a __kycli_words "'* -v*' '* -a*'"
    contains -- $__kycli_name kyuse ky kycli; and set -a __kycli_words "'*--here*'"
    eval "function $__kycli_name --no-scope-shadowing
        switch \"\$argv\"
            case $__kycli_words
                __kycli_special $__kycli_name \$argv
            case '*'
                __kycli_call p $__kycli_name \$argv
        end
    end"
end
set -e __kycli_name
