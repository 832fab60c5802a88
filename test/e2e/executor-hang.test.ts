// What hangs is ended: the runtime that never comes back, and the monitor that stands still.
import { readFile, writeFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { identifyProcess } from '../../worker/executor/container/processes.ts'
import type { Executor } from '../../worker/executor/executor.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { aContainer, aScript } from '../support/container-configs.ts'
import {
  createExecutorHost,
  type ExecutorHost,
  hasLogged,
  loadImage,
  never,
  nothingLeft,
  runToEnd,
} from '../support/executor-host.ts'
import { eventually } from '../support/netns.ts'

t.setTimeout(120_000)

/**
 * A runtime that is crun but for the creation of `stuck…`: there it notes its pid, leaves a process without
 * environment in the container's control group, and sleeps; for `stuck-monitor` it stops its conmon first.
 */
const standIn = (dir: string, cgroup: string): string => `#!/bin/sh
case "$*" in
*" create "*" stuck"*) ;;
*) exec crun "$@" ;;
esac
for id do :; done
group=/sys/fs/cgroup/pids${cgroup}/$id
[ -d /sys/fs/cgroup/pids ] || group=/sys/fs/cgroup${cgroup}/$id
mkdir -p $group
env -i sleep 1000 &
echo $! >$group/cgroup.procs
[ $id = stuck-runtime ] || kill -STOP $PPID
echo $PPID $$ $! >${dir}/$id
sleep 1000
`

interface World {
  readonly host: ExecutorHost
  readonly executor: Executor
  /** Numbers of conmon, the runtime and the process in the control group, once they hang. */
  readonly stuck: (id: string) => Promise<readonly number[]>
}

async function aWorld(t: Test, createTimeoutMs: number): Promise<World> {
  const host = await createExecutorHost()
  t.teardown(() => host.dispose())
  const runtimePath = `${host.scratchDir}/stand-in`
  await writeFile(runtimePath, standIn(host.scratchDir, host.dirs.cgroupParent), { mode: 0o755 })
  const { executor, images } = await host.open({ runtimePath, createTimeoutMs })
  await loadImage(images, await busyboxImage())
  const stuck = async (id: string): Promise<readonly number[]> => {
    const path = `${host.scratchDir}/${id}`
    const read = (): Promise<string> => readFile(path, 'utf8').catch(() => '')
    await eventually(async () => (await read()).endsWith('\n'), `${id} hangs`)
    return (await read()).trim().split(' ').map(Number)
  }
  return { host, executor, stuck }
}

/** What outlives a creation in the control groups of version 1 and 2, and among processes. */
async function isGone(host: ExecutorHost, id: string, pids: readonly number[]): Promise<boolean> {
  const { processes, cgroups, files } = await host.leftovers()
  return (
    // Zombies count as gone.
    pids.every((pid) => identifyProcess(pid) === undefined) &&
    [...processes, ...cgroups, ...files].every((one) => !one.includes(id))
  )
}

for (const [id, what] of [
  ['stuck-runtime', 'a runtime that never comes back'],
  ['stuck-monitor', 'a monitor that stands still'],
] as const) {
  t.test(`${what} is killed with all it started, and its task is told`, async (t) => {
    const { host, executor, stuck } = await aWorld(t, 2_000)
    const mounts = [{ kind: 'volume' as const, target: '/data' }]
    const creating = executor.create(aContainer(id, { mounts }), never)
    const refused = t.rejects(creating, {
      code: 'DEADLINE_EXCEEDED',
      message: /creation of container stuck.* within 2 s; .*dmesg/,
    })
    const pids = await stuck(id)
    t.equal(pids.length, 3)
    const other = await runToEnd(executor, aScript('other', 'exit 3'))
    t.equal(other.exitCode, 3, 'others are made meanwhile')
    await refused
    t.ok(await isGone(host, id, pids), 'nothing of it is left')
    await t.rejects(executor.inspect(id), { code: 'NOT_FOUND' })
    await executor.remove('other')
    await executor.close()
    t.same(await host.leftovers(), nothingLeft)
  })
}

t.test('a container whose monitor stands still can be stopped and removed', async (t) => {
  const { host, executor } = await aWorld(t, 60_000)
  await executor.create(aScript('frozen', 'echo up; exec sleep 1000'), never)
  const { state } = await executor.start('frozen', never)
  await hasLogged(executor, 'frozen', 'up')
  if (state.kind !== 'running') throw new Error('it does not run')
  const status = await readFile(`/proc/${state.pid}/status`, 'utf8')
  const monitor = Number(/^PPid:\t([0-9]+)/m.exec(status)?.[1])
  process.kill(monitor, 'SIGSTOP')
  const exit = await executor.stop('frozen', { graceMs: 0 })
  t.match(exit, { exitCode: -1, error: /monitor/ })
  await executor.remove('frozen')
  t.ok(await isGone(host, 'frozen', [state.pid, monitor]), 'nothing of it is left')
  await executor.close()
  t.same(await host.leftovers(), nothingLeft)
})

t.test('a creation that nobody wants any more is not waited for', async (t) => {
  const { host, executor, stuck } = await aWorld(t, 60_000)
  const controller = new AbortController()
  const creating = executor.create(aContainer('stuck-runtime'), controller.signal)
  const refused = t.rejects(creating, { code: 'CANCELLED' })
  const pids = await stuck('stuck-runtime')
  controller.abort()
  await refused
  t.ok(await isGone(host, 'stuck-runtime', pids), 'nothing of it is left')
  await executor.close()
  t.same(await host.leftovers(), nothingLeft)
})
