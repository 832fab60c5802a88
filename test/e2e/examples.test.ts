// cluster-examples, deployed into a lab as a user types it; and that a lab leaves nothing.
import t from 'tap'
import { type CommandResult, runCommand } from '../../proto/lib/command.ts'
import { labRemains } from '../support/lab-remains.ts'
import { labNameHere } from '../support/test-lab.ts'
import { untilSeen } from '../support/until.ts'
import { exampleStacks } from './examples/stacks.ts'

const name = labNameHere('example')
const nothing = { processes: [], mounts: [], cgroups: [], namespaces: [], links: [], folders: [] }

t.setTimeout(600_000)
t.before(() => lab('down'))
t.teardown(() => lab('down'))

/** `tsswarm lab COMMAND --name NAME ARG…`. */
async function lab(command: string, ...args: readonly string[]): Promise<CommandResult> {
  const argv = [process.execPath, 'dist/tsswarm.js', 'lab', command, '--name', name, ...args]
  return await runCommand(argv, { timeoutMs: 240_000 })
}

/** Standard output of it; throws when it fails. */
async function must(command: string, ...args: readonly string[]): Promise<string> {
  const result = await lab(command, ...args)
  if (result.code === 0) return result.stdout
  throw new Error(`lab ${command} ${args.join(' ')}: exit ${result.code}: ${result.stderr}`)
}

/** Address and state of every host, and of the registry. */
async function hosts(): Promise<ReadonlyMap<string, { address: string; state: string }>> {
  const lines = (await must('ls')).trim().split('\n').slice(1)
  return new Map(
    lines.map((line) => {
      const [, host = '', address = '', state = ''] = line.split(/\s+/)
      return [host, { address, state }] as const
    }),
  )
}

async function answer(address: string, withinMs = 15_000): Promise<string> {
  const options = { signal: AbortSignal.timeout(withinMs), headers: { connection: 'close' } }
  return await (await fetch(`http://${address}:8080`, options)).text()
}

async function nodeState(host: string): Promise<string> {
  const format = ['--format', '{{.Status}}', '--filter', `name=${host}`]
  return (await must('exec', 'm1', '--', 'tsswarm', 'node', 'ls', ...format)).trim()
}

/** A lab with the example in it, which answers on both nodes; the first bytes of the lab's addresses. */
async function deploy(): Promise<{
  readonly m1: string
  readonly w1: string
  readonly prefix: string
}> {
  await must('up', '--managers', '1', '--workers', '1')
  const create = ['sh', 'cluster-examples/hello/create.sh', '--replicas', '2']
  await must('exec', 'm1', '--', ...create)
  const list = await hosts()
  for (const host of ['m1', 'w1']) {
    const text = await answer(list.get(host)?.address ?? '')
    if (new RegExp(`^hello from ${host}$[^]*^task: hello\\.[12]\\.`, 'm').test(text)) continue
    throw new Error(`${host} answers: ${text}`)
  }
  const [m1 = '', w1 = ''] = ['m1', 'w1'].map((host) => list.get(host)?.address)
  return { m1, w1, prefix: w1.slice(0, w1.lastIndexOf('.') + 1) }
}

t.test('the example answers, through a kill and a cut, and lab down leaves nothing', async (t) => {
  const { m1, w1, prefix } = await deploy()
  for (const [kind, found] of Object.entries(await labRemains(name, prefix))) {
    t.ok(found.length > 0, `${kind} of a lab that runs are seen`)
  }
  await t.test('the examples that are stacks', async (t) => {
    const run = (...argv: readonly string[]) => lab('exec', 'm1', '--', ...argv)
    await exampleStacks(t, { run, addresses: { m1, w1 } })
  })
  await must('kill', 'w1')
  t.equal((await hosts()).get('w1')?.state, 'stopped')
  t.match(await answer(w1), /hello from w1/, 'without its daemon')
  await must('start', 'w1')
  t.equal((await hosts()).get('w1')?.state, 'running')
  await untilSeen('w1 is ready', async () => (await nodeState('w1')) === 'Ready')
  await must('cut', 'w1')
  await t.rejects(answer(w1, 2_000), 'cut off')
  await untilSeen('w1 is down', async () => (await nodeState('w1')) === 'Down')
  await must('heal', 'w1')
  await untilSeen('w1 is ready again', async () => (await nodeState('w1')) === 'Ready')
  const text = await untilSeen('w1 answers again', async () => await answer(w1))
  t.match(text, /hello from w1/)
  await must('down')
  t.same(await labRemains(name, prefix), nothing)
  t.match((await lab('ls')).stderr, /no lab named example-/)
})

t.test('lab down after kill -9 of all its daemons leaves nothing either', async (t) => {
  const { w1, prefix } = await deploy()
  for (const host of ['m1', 'w1']) await must('kill', host)
  t.match(await answer(w1), /hello from w1/, 'the containers go on')
  await must('down')
  t.same(await labRemains(name, prefix), nothing)
})
