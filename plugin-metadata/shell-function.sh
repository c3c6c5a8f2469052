# Makes `docker registry-prune …` mean `docker registry prune …`; every other call goes to docker as it is.
# Docker allows no hyphen in the name of a plugin. Works in sh, dash, bash, ksh and zsh.
docker() (
    expected=word
    for word in "$@"; do
        shift
        case $expected:$word in
            value:*) expected=word ;;
            word:--config | word:--context | word:-c | word:--host | word:-H | word:--log-level | word:-l) expected=value ;;
            word:--tlscacert | word:--tlscert | word:--tlskey) expected=value ;;
            word:-* | word:help) ;;
            word:registry-prune)
                set -- "$@" registry
                word=prune expected=nothing
                ;;
            word:*) expected=nothing ;;
        esac
        set -- "$@" "$word"
    done
    command docker "$@"
)
