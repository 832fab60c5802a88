// tsswarm completion
import { defineCommand } from '../command.ts'
import { usage } from '../parse-args.ts'

const bash = `# bash completion for tsswarm: source <(tsswarm completion bash)
_tsswarm() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    COMPREPLY+=("\${line%%$'\\t'*}")
  done < <(tsswarm __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  [ "\${#COMPREPLY[@]}" -gt 0 ] || compopt -o default 2>/dev/null
}
complete -F _tsswarm tsswarm
`

const zsh = `#compdef tsswarm
# zsh completion for tsswarm: source <(tsswarm completion zsh)
_tsswarm() {
  local -a found
  local line
  while IFS= read -r line; do
    found+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
  done < <(tsswarm __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
  if (( $#found )); then _describe tsswarm found; else _files; fi
}
compdef _tsswarm tsswarm
`

const fish = `# fish completion for tsswarm: tsswarm completion fish | source
function __tsswarm_complete
    set -l words (commandline -opc) (commandline -ct)
    tsswarm __complete -- $words[2..-1] 2>/dev/null
end
complete -c tsswarm -f -a '(__tsswarm_complete)'
`

const scripts: Readonly<Record<string, string>> = { bash, zsh, fish }

export const command = defineCommand({
  name: 'completion',
  summary: 'Print the completion script for a shell',
  description:
    'Completes commands, flags and their values, and the names of services, nodes and images by asking the daemon.',
  args: { usage: '(bash|zsh|fish)', min: 1, max: 1, completes: ['bash', 'zsh', 'fish'] },
  flags: {},
  examples: [
    { what: 'In this shell', command: 'source <(tsswarm completion bash)' },
    {
      what: 'For all users of bash',
      command: 'tsswarm completion bash > /etc/bash_completion.d/tsswarm',
    },
  ],
  run: async (ctx, { args }) => {
    const [shell = ''] = args
    const script = Object.hasOwn(scripts, shell) ? scripts[shell] : undefined
    if (script === undefined) throw usage(`unknown shell "${shell}": it is bash, zsh or fish`)
    ctx.stdout.write(script)
    return 0
  },
})
