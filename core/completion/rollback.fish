# fish completion of rollback. The command itself says what fits: rollback __complete WORD...
# As ~/.config/fish/completions/rollback.fish.
function __rollback_complete
    set -l words (commandline -opc)
    set -l found ($words[1] __complete $words[2..-1] (commandline -ct) 2>/dev/null </dev/null)
    if test $status -eq 10 # names of files
        __fish_complete_path (commandline -ct)
        return
    end
    string join \n -- $found
end
complete -c rollback -f -k -a '(__rollback_complete)'
