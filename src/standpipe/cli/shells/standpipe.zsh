#compdef standpipe
# Completion of `standpipe` for zsh. Put this into ~/.zshrc, after `compinit`:
#     eval "$(standpipe completion zsh)"

_standpipe() {
    local line value
    local -a lines values endings
    lines=("${(@f)$("${(Q)words[1]/#\~/$HOME}" completion --words "${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    for line in $lines; do
        case $line in
            :folders) _files -/ ;;
            :files) _files ;;
            :files*)
                endings=(${=line#:files})
                _files -g "*(${(j:|:)endings})"
                ;;
            *)
                value=${line%%$'\t'*}
                values+=("${value//:/\\:}:${line#*$'\t'}")
                ;;
        esac
    done
    if (($#values)); then
        if [[ ${#values} -eq 1 && $value == *[:=/] ]]; then
            _describe -V standpipe values -S ''
        else
            _describe -V standpipe values
        fi
    fi
}

# The file is the function itself where it is one of `fpath`.
if [[ ${funcstack[1]} == _standpipe ]]; then
    _standpipe "$@"
else
    compdef _standpipe standpipe
fi
