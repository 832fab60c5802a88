// runc beside crun on one host: containers have the runtime that they ask for, keep it under the next daemon, and lack nothing.
import { existsSync } from 'node:fs'
import t from 'tap'
import type { ExecOpen } from '../../proto/gen/tsswarm/v1/streams.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { aJoinedScript, aScript } from '../support/container-configs.ts'
import {
  createExecutorHost,
  hasLogged,
  loadImage,
  never,
  nothingLeft,
  runToEnd,
} from '../support/executor-host.ts'

t.setTimeout(120_000)

const polite = 'trap "exit 3" TERM; echo up; while true; do sleep 1000 & wait $!; done'
const wish: Omit<ExecOpen, 'argv'> = {
  ...{ env: [], workdir: '', user: '', size: undefined },
  ...{ tty: false, interactive: true, detach: false },
}

t.test('two runtimes on one host', async (t) => {
  const host = await createExecutorHost()
  t.teardown(() => host.dispose())
  const first = await host.open()
  const { executor, streams } = first
  await loadImage(first.images, await busyboxImage())
  t.strictSame(first.runtimes, ['crun', 'runc'], 'both are told of, the usual one first')
  const madeBy = (id: string): string =>
    existsSync(`${host.dirs.runDir}/oci/${id}/state.json`) ? 'runc' : 'crun'

  await t.test('limits, filter, user and exit code hold with runc', async (t) => {
    const script =
      'grep Seccomp: /proc/self/status; id -u; ulimit -c; unshare -U true || echo refused; exit 5'
    const config = aJoinedScript('limited', script, {
      runtime: 'runc',
      user: '1000',
      resources: { memoryBytes: 32 << 20, pids: 50 },
      ulimits: [{ name: 'core', soft: -1, hard: -1 }],
    })
    const { output, exitCode } = await runToEnd(executor, config)
    t.match(output, /^Seccomp:\t2\n1000\nunlimited\n.*refused$/s)
    t.equal(exitCode, 5)
    const hungry = aScript('hungry', 'exec tail /dev/zero', {
      runtime: 'runc',
      resources: { memoryBytes: 16 << 20 },
    })
    t.match(await runToEnd(executor, hungry), { exitCode: 137, oomKilled: true })
    const absent = aScript('absent', '', { runtime: 'runc', entrypoint: ['/nosuch'] })
    await t.rejects(executor.create(absent, never), {
      code: 'INVALID_ARGUMENT',
      message: /\/nosuch/,
    })
  })

  for (const id of ['plain', 'other']) {
    const ulimits = [{ name: 'core', soft: -1, hard: -1 }]
    const runtime = id === 'other' ? { runtime: 'runc' as const } : {}
    await executor.create(aScript(id, polite, { ulimits, ...runtime }), never)
    await executor.start(id, never)
    await hasLogged(executor, id, 'up')
  }
  t.strictSame(['plain', 'other'].map(madeBy), ['crun', 'runc'])

  await t.test('programs run in it later, on a terminal too', async (t) => {
    const ran = async (argv: readonly string[], more: Partial<ExecOpen> = {}) => {
      const program = await streams.exec('other', { ...wish, argv, ...more })
      let output = ''
      for await (const chunk of program.output) output += chunk.toString()
      return { output, ...(await program.ended) }
    }
    t.match(await ran(['/bin/sh', '-c', 'ulimit -c; exit 4']), {
      output: 'unlimited\n',
      exitCode: 4,
    })
    const size = { rows: 33, columns: 111 }
    const onTerminal = await ran(['/bin/sh', '-c', 'echo on $(tty)'], { tty: true, size })
    t.match(onTerminal, { output: /^on \/dev\/pts\/\d+\r\n$/, exitCode: 0 })
    t.match(await ran(['nosuch']), { exitCode: 127 })
    t.match(await ran(['/etc/passwd']), { exitCode: 126 })
    const argv = ['/bin/sh', '-c', 'ulimit -c; exit 6']
    const probed = await executor.probe('other', { argv, timeoutMs: 60_000 }, never)
    t.match(probed, { kind: 'ended', exitCode: 6, output: 'unlimited' })
  })

  await t.test('the next daemon, whose usual one is another, ends each by its own', async (t) => {
    await executor.close()
    const next = await host.open({ runtime: 'runc' })
    t.strictSame(next.runtimes, ['runc', 'crun'])
    await next.executor.create(aScript('usual', polite), never)
    await next.executor.start('usual', never)
    await hasLogged(next.executor, 'usual', 'up')
    t.equal(madeBy('usual'), 'runc')
    for (const id of ['plain', 'other', 'usual']) {
      t.match(await next.executor.stop(id, {}), { exitCode: 3 }, id)
    }
    for (const { id } of await next.executor.list()) await next.executor.remove(id)
    await next.executor.close()
    t.same(await host.leftovers(), nothingLeft)
  })
})
