# Completion of `standpipe` for bash. Put this into ~/.bashrc:
#     eval "$(standpipe completion bash)"

_standpipe() {
    local IFS=$'\n' word candidate current="" kept=() words=() lines=()
    # Bash splits words at `:` and `=`; here `script.py:name` and `--root=folder` are words.
    for word in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
        if ((${#words[@]})) && [[ $word == [:=]* || ${words[-1]} == *[:=] ]]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
    done
    current=${words[-1]}
    local split=${current%"${current##*[:=]}"} # what bash takes for earlier words
    mapfile -t lines < <("${1/#\~/$HOME}" completion --words "${words[@]}" 2>/dev/null)
    for candidate in "${lines[@]}"; do
        case $candidate in
            :folders) kept+=($(compgen -d -- "${current#"$split"}")) && compopt -o filenames ;;
            :files*) kept+=($(_standpipe_files "${current#"$split"}" "${candidate#:files}")) && compopt -o filenames ;;
            *)
                candidate=${candidate%%$'\t'*}
                [[ $candidate == *[:=/] ]] && compopt -o nospace
                kept+=("${candidate#"$split"}")
                ;;
        esac
    done
    COMPREPLY=("${kept[@]}")
}

# Print the folders and the files that a word may become.
#   $1: the word
#   $2: the endings of the files; empty for all
_standpipe_files() {
    local IFS=' ' file ending
    [[ -z $2 ]] && compgen -f -- "$1" && return
    compgen -d -- "$1"
    compgen -f -- "$1" | while IFS= read -r file; do
        for ending in $2; do
            [[ $file == *"$ending" ]] && printf '%s\n' "$file"
        done
    done
}

complete -F _standpipe standpipe
