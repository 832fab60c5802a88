// The reference of all commands, docs/cli.md, made from the command objects; a test holds the file to it.
import { globalFlags } from './global-flags.ts'
import { groups, plainCommands } from './registry.ts'
import { commandHelp, flagLines } from './render/help.ts'
import { aliasesOf } from './run-cli.ts'

const heading = `# The command line

This page is made from the program's own help (test/unit/cli/reference.test.ts; \`UPDATE_GOLDEN=1\` writes it anew).

- Words, flags and layouts are those of Docker Swarm. What this version has not (autolock …)
  is refused with a message that says what to use instead.
- Exit codes: 0 success, 1 the operation failed, 125 the command line could not be understood, 130 interrupted.
- \`service create\`, \`update\` and \`scale\` wait until all tasks have been running for one second. Ctrl-C ends the
  waiting, not the work. On a terminal progress is redrawn, elsewhere it is printed line by line; \`--quiet\` hides it,
  \`--detach\` does not wait.
- \`exec\`, \`cp\`, \`port-forward\`, \`top\` and \`stats\` work on any manager, wherever the task runs; \`exec\` ends with the code of its command, 126 or 127.
- Objects are named by their full id, their exact name, or the beginning of their id.
- \`--format\` takes \`table\`, \`json\`, \`table TEMPLATE\` or a Go template as docker's: fields (\`{{.Name}}\`),
  \`{{json .}}\`, \`if\`, \`range\`, \`with\`, variables, pipelines, and the functions and, eq, ge, gt, index, join, json, le, len,
  lower, lt, ne, not, or, pad, print, printf, println, slice, split, title, truncate, upper.
- Sizes are \`512k\`, \`64M\`, \`1.5G\` (powers of 1024), durations \`500ms\`, \`10s\`, \`1m30s\`.
- A write that meets a change of leader is repeated for up to 15 seconds under one request id, so it is applied once.
`

/** The text of docs/cli.md. */
export async function referenceText(): Promise<string> {
  const parts = [
    heading,
    `## Global options\n\n\`\`\`\n${flagLines(globalFlags).join('\n')}\n\`\`\`\n`,
  ]
  for (const group of groups) {
    for (const [verb, load] of Object.entries(group.commands)) {
      parts.push(
        section(commandHelp(await load(), aliasesOf(group, verb)), `${group.name} ${verb}`),
      )
    }
  }
  for (const plain of plainCommands)
    parts.push(section(commandHelp(await plain.load(), []), plain.name))
  return parts.join('\n')
}

function section(help: string, name: string): string {
  return `## tsswarm ${name}\n\n\`\`\`\n${help}\`\`\`\n`
}
