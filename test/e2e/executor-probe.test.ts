// Health probes by command in real containers: exit codes, output, settings of the container, and that nothing of a probe
// that takes too long lives on.
import { readdir, readFile } from 'node:fs/promises'
import t from 'tap'
import type { Executor, ProbeOutcome } from '../../worker/executor/executor.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { aScript } from '../support/container-configs.ts'
import { createExecutorHost, loadImage, never, nothingLeft } from '../support/executor-host.ts'
import { eventually } from '../support/netns.ts'

t.setTimeout(120_000)

const healthcheck = { Test: ['CMD-SHELL', 'true'], Interval: 1_500_000_000, Retries: 2 }

t.test('a probe', async (t) => {
  const host = await createExecutorHost()
  t.teardown(() => host.dispose())
  const { executor, images } = await host.open()
  await loadImage(images, await busyboxImage({ healthcheck, exposed: ['80/tcp', '53/udp'] }))
  const env = ['COLOUR=green']
  const config = aScript('asked', 'sleep 1000', { env, user: '1000:1000', workdir: '/tmp' })
  await executor.create(config, never)
  await t.rejects(probe(executor, 'true'), { code: 'FAILED_PRECONDITION' }, 'not before its start')
  await executor.start('asked', never)

  await t.test('has an exit code and an output', async (t) => {
    t.same(await probe(executor, 'true'), { kind: 'ended', exitCode: 0, output: '' })
    const failed = await probe(executor, 'echo no; echo why >&2; exit 7')
    t.same(failed, { kind: 'ended', exitCode: 7, output: 'no\nwhy' })
    const killed = await probe(executor, 'kill -9 $$')
    t.match(killed, { kind: 'ended', exitCode: 137 })
    const absent = await executor.probe('asked', { argv: ['/no/such'], timeoutMs: 5_000 }, never)
    t.match(absent, { kind: 'ended', output: /no such file/i })
    t.ok(absent.kind === 'ended' && absent.exitCode !== 0)
  })

  await t.test('runs as the container does', async (t) => {
    const { output } = await probe(
      executor,
      'echo $COLOUR $(id -u) $(id -g) $(pwd); grep CapEff /proc/1/status /proc/self/status',
    )
    const [first, ...capabilities] = output.split('\n')
    t.equal(first, 'green 1000 1000 /tmp')
    t.equal(new Set(capabilities.map((line) => line.replace(/^.*:\t/, ''))).size, 1)
  })

  await t.test('has its output cut, and is read to its end', async (t) => {
    const long = await probe(executor, 'yes | head -c 1000000; exit 3')
    t.match(long, { kind: 'ended', exitCode: 3 })
    t.ok(long.output.length <= 4096 && long.output.length > 4000, `${long.output.length}`)
  })

  await t.test('that takes too long is killed with what it started', async (t) => {
    const hangs = 'echo begun; sleep 987 & sleep 986'
    t.same(await probe(executor, hangs, 500), { kind: 'timeout', output: 'begun' })
    await eventually(async () => (await sleepers()).length === 0, 'no sleep of it runs')
    t.same(await probe(executor, 'true'), { kind: 'ended', exitCode: 0, output: '' })
  })

  await t.test('that is given up is killed too', async (t) => {
    const controller = new AbortController()
    const request = { argv: ['/bin/sh', '-c', 'sleep 987'], timeoutMs: 60_000 }
    const asked = executor.probe('asked', request, controller.signal)
    asked.catch(() => {})
    await eventually(async () => (await sleepers()).length === 1, 'it runs')
    controller.abort()
    await t.rejects(asked, { code: 'CANCELLED' })
    await eventually(async () => (await sleepers()).length === 0, 'it runs no more')
  })

  await t.test('many that hang keep nobody from creating containers', async (t) => {
    const others = Array.from({ length: 12 }, (_, i) => `hangs${i}`)
    for (const id of others) {
      await executor.create(aScript(id, 'sleep 1000'), never)
      await executor.start(id, never)
    }
    const request = { argv: ['/bin/sh', '-c', 'sleep 987'], timeoutMs: 60_000 }
    const controllers = others.map(() => new AbortController())
    const all = controllers.map(({ signal }, i) => executor.probe(others[i] ?? '', request, signal))
    await eventually(async () => (await sleepers()).length === others.length, 'all hang')
    await executor.create(aScript('late', 'true'), never)
    for (const controller of controllers) controller.abort()
    t.ok((await Promise.allSettled(all)).every(({ status }) => status === 'rejected'))
    for (const id of [...others, 'late']) await executor.remove(id)
  })

  await t.test('the image’s own is known, also to the next daemon', async (t) => {
    const wished = { test: ['CMD-SHELL', 'true'], intervalMs: 1_500, retries: 2, timeoutMs: 0 }
    t.match((await executor.inspect('asked')).imageHealth, { ...wished, shell: ['/bin/sh', '-c'] })
    await executor.close()
    const next = await host.open()
    const { imageHealth, imagePorts } = await next.executor.inspect('asked')
    t.match(imageHealth, wished)
    t.same(imagePorts, [
      { protocol: 'tcp', targetPort: 80 },
      { protocol: 'udp', targetPort: 53 },
    ])
    t.same(await probe(next.executor, 'true'), { kind: 'ended', exitCode: 0, output: '' })
    await next.executor.remove('asked')
    await t.rejects(probe(next.executor, 'true'), { code: 'NOT_FOUND' })
  })
  t.same(await host.leftovers(), nothingLeft)
})

function probe(executor: Executor, line: string, timeoutMs = 20_000): Promise<ProbeOutcome> {
  return executor.probe('asked', { argv: ['/bin/sh', '-c', line], timeoutMs }, never)
}

/** Processes of probes that hang: no other one sleeps that long. */
async function sleepers(): Promise<readonly string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const lines = await Promise.all(
    pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')),
  )
  return lines.filter((line) => ['sleep 987 ', 'sleep 986 '].includes(line.replaceAll('\0', ' ')))
}
