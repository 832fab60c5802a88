// Colour is for whoever looks at a terminal, and did not ask for none.
import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { hasColour, painter } from '../../../../cli/render/colour.ts'
import { MemoryOutput, runCommandLine } from '../../../support/cli.ts'

t.test('on a terminal, unless NO_COLOR says something or it is a dumb one', async (t) => {
  const shown = (env: Readonly<Record<string, string>>, isTerminal = true) =>
    hasColour({ stdout: new MemoryOutput(isTerminal), env })
  t.ok(shown({}))
  t.ok(shown({ TERM: 'xterm', NO_COLOR: '' }), 'an empty one says nothing')
  for (const env of [{ NO_COLOR: '1' }, { NO_COLOR: '0' }, { TERM: 'dumb' }]) t.notOk(shown(env))
  t.notOk(shown({}, false))
  t.notOk(shown({ FORCE_COLOR: '1' }, false))
  const paint = painter({ stdout: new MemoryOutput(true), env: {} }, { bad: 'red' })
  t.same(
    [paint('bad'), paint('good'), paint('toString')],
    ['\x1b[31mbad\x1b[0m', 'good', 'toString'],
  )
})

const control = String.fromCharCode(27)
const codes = new RegExp(`${control}\\[[0-9;]*m`)

t.test('doctor is painted there and nowhere else', async (t) => {
  const written = async (terminal: boolean, env: Readonly<Record<string, string>>) =>
    (await runCommandLine('doctor', { terminal, env })).stdout
  const painted = await written(true, {})
  t.match(painted, codes)
  for (const [isTerminal, env] of [
    [true, { NO_COLOR: '1' }],
    [true, { TERM: 'dumb' }],
    [false, {}],
  ] as const) {
    t.notOk((await written(isTerminal, env)).includes(control))
  }
})

t.test('all that paints asks first: nothing else of the client has codes of colours', async (t) => {
  const root = new URL('../../../../cli/', import.meta.url)
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
  const sources = files.filter((name) => name.endsWith('.js') && name !== 'render/colour.js')
  t.ok(sources.length > 100)
  const painting = sources.filter((name) =>
    /(\\x1b|\\u001b|\\u\{1b\}|\\033)\[[0-9;${}a-z]*m/i.test(
      readFileSync(new URL(name, root), 'utf8'),
    ),
  )
  t.same(painting, [])
})
