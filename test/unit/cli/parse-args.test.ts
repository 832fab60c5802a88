// Command lines as docker reads them.
import t from 'tap'
import { defineCommand } from '../../../cli/command.ts'
import { bool, choice, duration, integer, list, text, triBool } from '../../../cli/flags.ts'
import { parseCommand } from '../../../cli/parse-args.ts'
import { SwarmError } from '../../../proto/errors.ts'

const flags = {
  detach: bool('', { short: 'd' }),
  quiet: bool('', { short: 'q' }),
  env: list('', { short: 'e' }),
  name: text('', { short: 'n' }),
  replicas: integer('', { min: 0, max: 100 }),
  'task-limit': integer('', { min: -1, max: 100 }),
  delay: duration(''),
  mode: choice('', ['one', 'two']),
  init: triBool(''),
}

const command = defineCommand({
  name: 'thing make',
  summary: '',
  args: { usage: 'ONE [MORE...]', min: 1, max: 3 },
  flags,
  examples: [],
  absent: (name) => (name === 'network' ? 'use string' : undefined),
  run: async () => 0,
})

const container = { ...command, args: { ...command.args, max: 99, stopAtFirst: true } }

function parse(line: string, which = command) {
  const parsed = parseCommand(
    which,
    line.split(' ').filter((word) => word !== ''),
  )
  if (parsed.kind === 'help') return 'help'
  return parsed
}

t.test('flags stand anywhere, with a space, an equals sign, or joined', async (t) => {
  const cases: readonly (readonly [string, Record<string, unknown>, readonly string[]])[] = [
    ['a', {}, ['a']],
    ['--name x a', { name: 'x' }, ['a']],
    ['a --name=x', { name: 'x' }, ['a']],
    ['a --name= b', { name: '' }, ['a', 'b']],
    ['-n x a', { name: 'x' }, ['a']],
    ['-nx a', { name: 'x' }, ['a']],
    ['-n=x a', { name: 'x' }, ['a']],
    ['-dq a', { detach: true, quiet: true }, ['a']],
    ['-dqn x a', { detach: true, quiet: true, name: 'x' }, ['a']],
    ['-dnx a', { detach: true, name: 'x' }, ['a']],
    ['--detach=false a', { detach: false }, ['a']],
    ['-d=false a', { detach: false }, ['a']],
    ['--detach a', { detach: true }, ['a']],
    ['-e A=1 --env B=2 -eC=3 a', { env: ['A=1', 'B=2', 'C=3'] }, ['a']],
    ['--replicas 3 --replicas 4 a', { replicas: 4 }, ['a']],
    ['--task-limit -1 a', { 'task-limit': -1 }, ['a']],
    ['--delay 1m30s a', { delay: 90_000 }, ['a']],
    ['--mode two a', { mode: 'two' }, ['a']],
    ['--init a', { init: true }, ['a']],
    ['--init=false a', { init: false }, ['a']],
    ['a -- --name -x', {}, ['a', '--name', '-x']],
    ['a -', {}, ['a', '-']],
  ]
  const initial = Object.fromEntries(Object.entries(flags).map(([name, f]) => [name, f.initial]))
  for (const [line, values, args] of cases) {
    t.strictSame(parse(line), { kind: 'run', flags: { ...initial, ...values }, args }, line)
  }
})

t.test('what follows the image belongs to the container', async (t) => {
  const parsed = parse('-d --name x image sh -c --name -q', container)
  t.match(parsed, { flags: { detach: true, name: 'x', quiet: false } })
  t.match(parsed, { args: ['image', 'sh', '-c', '--name', '-q'] })
  t.match(parse('-d -- image -q', container), { args: ['image', '-q'] })
})

t.test('--help and -h win over missing arguments', async (t) => {
  for (const line of ['--help', '-h', 'a b c d --help', '-dh']) t.equal(parse(line), 'help', line)
  t.match(parse('image --help', container), { args: ['image', '--help'] })
})

t.test('mistakes are named', async (t) => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['--nme x a', /^unknown flag: --nme \(did you mean --name\?\)$/],
    ['--zzz a', /^unknown flag: --zzz$/],
    ['-dz a', /^unknown shorthand flag: 'z' in -dz$/],
    ['a --name', /^flag needs an argument: --name$/],
    ['a -n', /^flag needs an argument: -n, --name$/],
    ['--replicas x a', /^invalid argument "x" for "--replicas" flag: must be a whole number$/],
    ['--replicas 101 a', /must be from 0 to 100/],
    ['--replicas -1 a', /must be from 0 to 100/],
    ['--detach=maybe a', /must be true or false/],
    ['--mode three a', /must be one of one, two/],
    ['--delay 5 a', /must be a duration/],
    ['', /^"tsswarm thing make" requires at least 1 argument: ONE \[MORE\.\.\.\]$/],
    ['a b c d', /requires at most 3 arguments/],
  ]
  for (const [line, message] of cases) {
    t.throws(() => parse(line), { message, code: 'USAGE' }, line)
  }
  const none = { ...command, args: { usage: '', min: 0, max: 0 } }
  t.throws(() => parse('a', none), /accepts no arguments/)
  const exact = { ...command, args: { usage: 'A B', min: 2, max: 2 } }
  t.throws(() => parse('a', exact), /requires exactly 2 arguments: A B/)
})

t.test("a flag of Swarm's that is not there says what to use", async (t) => {
  t.throws(
    () => parse('--network x a'),
    new SwarmError('UNSUPPORTED', 'flag --network cannot be used: use string'),
  )
})
