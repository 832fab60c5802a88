// Placement on real containers: what a task holds of its node's generic resources, a node that no longer fits, and a plan that comes true.
import type { Test } from 'tap'
import type { TestLab } from '../../support/test-lab.ts'
import { rebalance } from './rebalance.ts'

/** What every daemon of the lab offers. */
export const offeredResources = 'gpu=GPU-a,gpu=GPU-b'

export async function place(t: Test, lab: TestLab): Promise<void> {
  await t.test('named resources are one task’s at a time', (t) => resources(t, lab))
  await t.test('a task leaves a node that no longer meets its constraint', (t) =>
    constraint(t, lab),
  )
  await t.test('a drain does what its plan said', (t) => drain(t, lab))
  await t.test('tasks move onto a node that is active again', (t) => rebalance(t, lab))
}

const tell = ['--entrypoint', '/bin/sh -c "echo holds $DOCKER_RESOURCE_GPU; exec sleep 3600"']
const quick = ['--stop-grace-period', '1s', '--restart-delay', '100ms']

async function resources(t: Test, lab: TestLab): Promise<void> {
  const on = ['--constraint', 'node.hostname==w1', '--generic-resource', 'gpu=1', '--replicas', '2']
  await lab.cli(
    'm1',
    'service',
    'create',
    '--name',
    'place-gpu',
    ...quick,
    ...on,
    ...tell,
    'lab/hello',
  )
  const held = await lab.until('both tasks told what they hold', async () => {
    const text = await lab.cli('m1', 'service', 'logs', '--raw', 'place-gpu')
    const lines = text.split('\n').filter((line) => line.includes('holds'))
    return lines.length === 2 ? lines.map((line) => line.trim()).sort() : undefined
  })
  t.same(held, ['holds GPU-a', 'holds GPU-b'])
  await lab.cli('m1', 'service', 'scale', '--detach', 'place-gpu=3')
  const why = await lab.until('the third waits', async () => {
    const text = await lab.cli('m1', 'explain', 'service', 'place-gpu')
    return text.includes('needs 1 gpu, 0 of 2 free') ? text : undefined
  })
  t.match(why, /place-gpu\.3: no suitable node \(insufficient resources on 1 node/)
  await lab.cli('m1', 'service', 'rm', 'place-gpu')
}

async function constraint(t: Test, lab: TestLab): Promise<void> {
  const label = (host: string, change: 'add' | 'rm', value: string): Promise<string> =>
    lab.cli('m1', 'node', 'update', `--label-${change}`, value, host)
  await label('w1', 'add', 'place=here')
  const on = ['--constraint', 'node.labels.place==here']
  await lab.cli(
    'm1',
    'service',
    'create',
    '--name',
    'place-label',
    ...quick,
    ...on,
    ...tell,
    'lab/hello',
  )
  const [first] = await lab.untilRunning('m1', 'place-label', 1)
  t.equal(first?.node, 'w1')
  await label('w2', 'add', 'place=here')
  await label('w1', 'rm', 'place')
  const moved = await lab.until('the task runs on w2', async () => {
    const [task] = await lab.running('m1', 'place-label')
    return task?.node === 'w2' ? task : undefined
  })
  const why = await lab.cli('m1', 'explain', 'task', moved.id)
  t.match(why, /made because the node of the task before it no longer met a constraint/)
  t.match(why, new RegExp(`because: ${first?.id}.* on node w1`))
  await lab.cli('m1', 'service', 'rm', 'place-label')
  await label('w2', 'rm', 'place')
}

interface Planned {
  readonly Tasks: readonly { readonly Name: string; readonly To: { readonly Hostname: string } }[]
}

async function drain(t: Test, lab: TestLab): Promise<void> {
  const names = ['place-one', 'place-two']
  for (const name of names) {
    const flags = ['--replicas', '3', '--name', name, ...quick]
    await lab.cli('m1', 'service', 'create', ...flags, ...tell, 'lab/hello')
  }
  const plan = await lab.cli('m1', 'plan', 'drain', '--format', 'json', 'w1')
  const [planned] = JSON.parse(plan) as readonly Planned[]
  const told = new Map((planned?.Tasks ?? []).map(({ Name, To }) => [Name, To.Hostname]))
  t.ok(told.size >= 2, 'each has a task there')
  for (const name of names)
    t.equal((await lab.running('m1', name)).length, 3, 'nothing was changed')
  await lab.cli('m1', 'node', 'update', '--availability', 'drain', 'w1')
  const places = await lab.until('all run elsewhere', async () => {
    const running = (await Promise.all(names.map((name) => lab.running('m1', name)))).flat()
    const isDone = running.length === 6 && running.every(({ node }) => node !== 'w1')
    return isDone ? new Map(running.map(({ name, node }) => [name, node])) : undefined
  })
  for (const [name, node] of told) t.equal(places.get(name), node, name)
  await lab.cli('m1', 'node', 'update', '--availability', 'active', 'w1')
  await lab.cli('m1', 'service', 'rm', ...names)
}
