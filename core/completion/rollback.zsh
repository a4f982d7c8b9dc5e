#compdef rollback
# zsh completion of rollback. The command itself says what fits: rollback __complete WORD...
# As ~/.zfunc/_rollback, with `fpath+=~/.zfunc` before `compinit`; or `source <(rollback completion zsh)` after it.
_rollback() {
    local line found
    local -a words_ shown
    found=$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null </dev/null)
    if [[ $? -eq 10 ]]; then # names of files
        _files
        return
    fi
    for line in "${(@f)found}"; do
        [[ -n $line ]] || continue
        words_+=("${line%%$'\t'*}")
        shown+=("${line%%$'\t'*}  -- ${line#*$'\t'}")
    done
    (( $#words_ )) && compadd -V rollback -l -d shown -a words_
}
if [[ ${funcstack[1]} == _rollback ]]; then
    _rollback "$@"
else
    compdef _rollback rollback
fi
