// The completion scripts of the shells. They ask the program itself (`__complete`), so they never grow old.

const bash = `# bash completion for tsswarm: source <(tsswarm completion bash)
_tsswarm() {
  local line typed=\${COMP_LINE:0:COMP_POINT} word='' at prefix
  local -a words=()
  COMPREPLY=()
  # bash parts words at = and : too, and replaces only what is behind the last of them.
  for ((at = 1; at <= COMP_CWORD; at++)); do
    word=\${COMP_WORDS[at]}
    if ((\${#words[@]} > 0)) && [[ $word == [=:]* || \${COMP_WORDS[at - 1]} == *[=:] ]] &&
      [[ -n $word || $typed != *[[:space:]] ]]; then
      words[\${#words[@]} - 1]+=$word
    else
      words+=("$word")
    fi
  done
  word=\${words[\${#words[@]} - 1]}
  prefix=\${word%"\${word##*[=:]}"}
  while IFS= read -r line; do
    line=\${line%%$'\\t'*}
    COMPREPLY+=("\${line#"$prefix"}")
  done < <(tsswarm __complete -- "\${words[@]}" 2>/dev/null)
  [ "\${#COMPREPLY[@]}" -gt 0 ] || compopt -o default 2>/dev/null
  # Its value, or a path, follows at once.
  [[ \${COMPREPLY[0]} != *[=:] ]] || compopt -o nospace 2>/dev/null
}
complete -F _tsswarm tsswarm
`

const zsh = `#compdef tsswarm
# zsh completion for tsswarm: source <(tsswarm completion zsh), or as the file _tsswarm in a folder of fpath
_tsswarm() {
  local -a found open
  local line word
  while IFS= read -r line; do
    word="\${line%%$'\\t'*}"
    line="\${word//:/\\\\:}:\${line#*$'\\t'}"
    if [[ $word == *[=:] ]]; then open+=("$line"); else found+=("$line"); fi
  done < <(tsswarm __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
  (( $#found )) && _describe tsswarm found
  # Their value, or a path, follows at once.
  (( $#open )) && _describe tsswarm open -S ''
  (( $#found + $#open )) || _files
}
# A file of fpath is loaded by the first call of the function it is named after.
if [ "\${funcstack[1]}" = _tsswarm ]; then _tsswarm; else compdef _tsswarm tsswarm; fi
`

const fish = `# fish completion for tsswarm: tsswarm completion fish | source
function __tsswarm_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l found (tsswarm __complete -- $words[2..-1] 2>/dev/null)
    if set -q found[1]
        printf '%s\\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c tsswarm -f -a '(__tsswarm_complete)'
`

export const completionScripts: Readonly<Record<string, string>> = { bash, zsh, fish }
