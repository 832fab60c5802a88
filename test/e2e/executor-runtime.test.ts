// A runtime (crun) that fails or never comes back: whoever asked is told, nothing runs that ought not to, and once it works
// again everything can be taken away.
import { access, mkdir, rename, rm, writeFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { identifyProcess } from '../../worker/executor/container/processes.ts'
import type { ContainerInfo, Executor } from '../../worker/executor/executor.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { aScript } from '../support/container-configs.ts'
import {
  createExecutorHost,
  type ExecutorHost,
  hasLogged,
  loadImage,
  never,
  nothingLeft,
} from '../support/executor-host.ts'
import { eventually } from '../support/netns.ts'

t.setTimeout(120_000)

/** crun, unless there is a file named after the command: then that is what it does instead. */
const standIn = (dir: string): string => `#!/bin/sh
for word do
  [ ! -f ${dir}/$word ] || . ${dir}/$word
done
exec crun "$@"
`
const fails = 'echo "the $word fails" >&2; exit 1\n'
const hangs = 'exec sleep 1000\n'

interface World {
  readonly host: ExecutorHost
  readonly executor: Executor
  /** What the runtime does when it is asked for the command; undefined: that. */
  readonly instead: (command: string, script: string | undefined) => Promise<void>
}

async function aWorld(t: Test, commandTimeoutMs = 30_000): Promise<World> {
  const host = await createExecutorHost()
  t.teardown(() => host.dispose())
  const faults = `${host.scratchDir}/faults`
  const runtimePath = `${host.scratchDir}/stand-in`
  await mkdir(faults)
  await writeFile(runtimePath, standIn(faults), { mode: 0o755 })
  const { executor, images } = await host.open({ runtimePath, commandTimeoutMs })
  await loadImage(images, await busyboxImage())
  const instead: World['instead'] = async (command, script) => {
    if (script === undefined) await rm(`${faults}/${command}`)
    else await writeFile(`${faults}/${command}`, script)
  }
  return { host, executor, instead }
}

/** Where it is not found, a start takes the runtime. */
async function hideGate(host: ExecutorHost, id: string): Promise<() => Promise<void>> {
  const gate = `${host.dirs.runDir}/oci/${id}/exec.fifo`
  await rename(gate, `${gate}.away`)
  return () => rename(`${gate}.away`, gate)
}

function pidOf({ state }: ContainerInfo): number {
  return state.kind === 'exited' ? 0 : state.pid
}

async function isNothingLeft(t: Test, { host, executor }: World): Promise<void> {
  t.same(await executor.list(), [])
  await executor.close()
  t.same(await host.leftovers(), nothingLeft)
}

const polite = 'trap "exit 3" TERM; echo up; while true; do sleep 1000 & wait $!; done'

t.test('a runtime that fails', async (t) => {
  const world = await aWorld(t)
  const { host, executor, instead } = world

  await t.test('at a creation: nothing is left, and it can be asked for again', async (t) => {
    await instead('create', fails)
    const mounts = [{ kind: 'volume' as const, target: '/data' }]
    await t.rejects(executor.create(aScript('one', polite, { mounts }), never), {
      code: 'INTERNAL',
      message: /creation of container one failed: .*the create fails/,
    })
    await t.rejects(executor.inspect('one'), { code: 'NOT_FOUND' })
    const { files, cgroups, mounts: left } = await host.leftovers()
    t.same([files, cgroups, left], [[], [], []])
    await instead('create', undefined)
    await executor.create(aScript('one', polite), never)
  })

  await t.test('at a start: it is told, and can be started later', async (t) => {
    await instead('start', fails)
    const showGate = await hideGate(host, 'one')
    await t.rejects(executor.start('one', never), {
      code: 'INTERNAL',
      message: /start of container one failed: the start fails/,
    })
    t.match(await executor.inspect('one'), { state: { kind: 'created' } })
    await showGate()
    t.match(await executor.start('one', never), { state: { kind: 'running' } }, 'not asked')
    await instead('start', undefined)
    await hasLogged(executor, 'one', 'up')
  })

  await t.test('at a deletion: it has ended all the same, and goes later', async (t) => {
    await instead('delete', fails)
    t.match(await executor.stop('one', {}), { exitCode: 3 })
    await t.rejects(executor.remove('one'), {
      code: 'INTERNAL',
      message: /removal of container one is incomplete and will be tried again/,
    })
    await instead('delete', undefined)
    await executor.remove('one')
    const isOver = async (): Promise<boolean> =>
      (await host.leftovers()).processes.every((line) => !line.includes('/one'))
    await eventually(isOver, 'its processes have ended')
  })
  await isNothingLeft(t, world)
})

t.test('a daemon that is killed amid a start: the next one finds that it is over', async (t) => {
  const world = await aWorld(t)
  const { host, executor } = world
  await executor.create(aScript('one', polite), never)
  const gate = `${host.dirs.runDir}/oci/one/exec.fifo`
  await writeFile(gate, '\0')
  await hasLogged(executor, 'one', 'up')
  t.match(await executor.start('one', never), { state: { kind: 'running' } })
  await t.rejects(access(gate), { code: 'ENOENT' })
  await executor.create(aScript('two', polite), never)
  const pid = pidOf(await executor.inspect('two'))
  process.kill(pid, 'SIGKILL')
  await eventually(async () => identifyProcess(pid) === undefined, 'it has ended')
  await t.rejects(executor.start('two', never), { message: /two/ }, 'which has ended instead')
  for (const id of ['one', 'two']) await executor.remove(id)
  await isNothingLeft(t, world)
})

t.test('a start that never comes back is ended and told, and the container can go', async (t) => {
  const world = await aWorld(t, 4_000)
  const { host, executor, instead } = world
  await executor.create(aScript('one', polite), never)
  await hideGate(host, 'one')
  await instead('start', hangs)
  await t.rejects(executor.start('one', never), {
    code: 'DEADLINE_EXCEEDED',
    message: /start of container one was ended: .* within 4 s; .*dmesg/,
  })
  t.match(await executor.inspect('one'), { state: { kind: 'created' } })
  await instead('start', undefined)
  // A machine that is busy may take longer than that to take it away: it is asked again, as a task is.
  const isGone = async (): Promise<boolean> => {
    await executor.remove('one')
    return true
  }
  await eventually(isGone, 'it is removed', 60_000)
  await isNothingLeft(t, world)
})
