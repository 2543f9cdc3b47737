# Completion of `standpipe` for fish. Save it:
#     standpipe completion fish > ~/.config/fish/completions/standpipe.fish

function __standpipe_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    for line in ($words[1] completion --words $words "$current" 2>/dev/null)
        switch $line
            case ':folders'
                __fish_complete_directories "$current" ''
            case ':files*'
                set -l endings (string split -n ' ' -- (string replace ':files' '' -- $line))
                for path in (__fish_complete_path "$current")
                    set -l file (string split \t -- $path)[1]
                    if test -z "$endings"; or string match -q '*/' -- $file
                        echo $path
                    else
                        for ending in $endings
                            string match -q "*$ending" -- $file; and echo $path
                        end
                    end
                end
            case '*'
                echo $line
        end
    end
end

complete -c standpipe -f -a '(__standpipe_complete)'
