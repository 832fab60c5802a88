// docs/cli.md is what the commands say of themselves; so every --help has a golden text.
import t from 'tap'
import type { Command } from '../../../cli/command.ts'
import { referenceText } from '../../../cli/reference.ts'
import { groups, plainCommands } from '../../../cli/registry.ts'
import { golden } from '../../support/golden.ts'

t.test('docs/cli.md shows the help of every command', async (t) => {
  golden(t, 'docs/cli.md', await referenceText())
})

t.test(
  'every command is called what it is registered as, and its group has no doubtful alias',
  async (t) => {
    for (const group of groups) {
      for (const [verb, load] of Object.entries(group.commands)) {
        const command = await load()
        t.equal(command.name, `${group.name} ${verb}`)
        t.not(command.summary, '')
      }
      for (const target of Object.values(group.aliases)) t.hasOwnProps(group.commands, [target])
    }
    for (const plain of plainCommands) {
      const command = await plain.load()
      t.equal(command.name, plain.name)
      t.equal(command.summary, plain.summary)
    }
  },
)

t.test('the help of every command ends with an example of it', async (t) => {
  for (const group of groups) {
    for (const load of Object.values(group.commands)) t.ok(hasExample(await load()))
  }
  for (const plain of plainCommands) t.ok(hasExample(await plain.load()), plain.name)
})

function hasExample({ name, examples }: Command): boolean {
  return examples.some(({ what, command }) => what !== '' && command.includes(`tsswarm ${name}`))
}

t.test('every example of a command is understood by its own parser', async (t) => {
  const { splitWords } = await import('../../../cli/service/csv.ts')
  const { parseCommand } = await import('../../../cli/parse-args.ts')
  const all = [
    ...groups.flatMap((group) => Object.values(group.commands)),
    ...plainCommands.map((plain) => plain.load),
  ]
  for (const load of all) {
    const command = await load()
    const depth = command.name.split(' ').length + 1
    for (const example of command.examples) {
      if (!example.command.startsWith('tsswarm ')) continue
      const [line = ''] = example.command.split(/ [<>|] /)
      const words = splitWords(line).slice(depth)
      t.doesNotThrow(() => parseCommand(command, words), example.command)
    }
  }
})
