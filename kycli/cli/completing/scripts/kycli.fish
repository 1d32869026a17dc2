# Completion for fish:  kycli completion fish | source
function __kycli_completion
    set -l before (commandline -opc)
    set -l all (commandline -op)
    set -l next (math (count $before) + 1)
    if test -n "$(commandline -t)"
        set next (math $next + 1)
    end
    set -l answer (kycli completion fish "$(commandline -ct)" (count $before) $before \
        $all[$next..-1] 2>/dev/null </dev/null | string split0)
    if test "$answer[1]" = files
        __fish_complete_path (commandline -ct)
    else
        string join0 -- $answer[2..-1] | string split0
    end
end
function __kycli_home
    string match -q -- '~*' (commandline -ct)
end
for name in @NAMES@
    complete -c $name -f -a '(__kycli_completion)'
    complete -c $name -n __kycli_home -F
end
