# bash completion of rollback. The command itself says what fits: rollback __complete WORD...
# Put `source <(rollback completion bash)` into ~/.bashrc, or this into ~/.local/share/bash-completion/completions/rollback.
_rollback() {
    local line found
    COMPREPLY=()
    found=$("$1" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null </dev/null)
    if [ $? -eq 10 ]; then # names of files
        compopt -o default 2>/dev/null
        return
    fi
    while IFS= read -r line; do
        [ -n "$line" ] && COMPREPLY+=("${line%%$'\t'*}")
    done <<<"$found"
}
complete -o nosort -F _rollback rollback 2>/dev/null || complete -F _rollback rollback
