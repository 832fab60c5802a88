// Work in containers from a manager that has none of them: exec, top, stats, cp, port-forward, logs, and who did it.
import type { Test } from 'tap'
import type { TestLab } from '../../support/test-lab.ts'

const name = 'streams-web'
/** Ends with code 3 when it finds a file. */
const script =
  'echo started; echo hello >/tmp/index.html; httpd -p 127.0.0.1:8080 -h /tmp; ' +
  'while [ ! -e /tmp/stop ]; do sleep 0.2; done; exit 3'
const forwarded = 18_080

export async function streams(t: Test, lab: TestLab): Promise<void> {
  const words = ['--name', name, '--detach', '--replicas', '2', '--restart-delay', '100ms']
  const place = ['--env', 'COLOUR=red', '--constraint', 'node.role==worker']
  const command = ['lab/hello', '/bin/sh', '-c', script]
  await lab.cli('m1', 'service', 'create', ...words, ...place, ...command)
  const tasks = await lab.untilRunning('m1', name, 2)
  t.notOk(tasks.some(({ node }) => node === 'm1'))

  await t.test('exec', async (t) => {
    const probe = 'echo $COLOUR $A; echo err >&2; exit 7'
    const run = await lab.try('m1', 'exec', '-e', 'A=secret', `${name}.2`, 'sh', '-c', probe)
    t.match(run, { code: 7, stdout: 'red secret\n', stderr: 'err\n' })
    t.match(await lab.try('m1', 'exec', name, 'nosuch'), { code: 127, stderr: /not found/ })
    t.match(await lab.try('m1', 'exec', `${name}.9`, 'true'), { code: 1, stderr: /no such task/ })
    const filter = ['--since', '5m', '--until', '0s', '--filter', 'event=exec_start']
    const events = await lab.cli('m1', 'events', ...filter)
    t.match(events, /client\.node\.name=m1/)
    t.match(events, /command=sh -c echo \$COLOUR/)
    t.notMatch(events, /A=secret/)
  })

  await t.test('top and stats', async (t) => {
    // A task that publishes nothing runs before its program has done anything.
    for (const task of [`${name}.1`, `${name}.2`]) {
      await lab.until(`the server of ${task} is there`, async () =>
        /httpd -p 127\.0\.0\.1:8080/.test(await lab.cli('m1', 'top', task)),
      )
    }
    const format = ['--format', '{{.Name}} {{.Node}} {{.PIDs}}']
    const stats = await lab.cli('m1', 'stats', '--no-stream', ...format, name)
    t.match(stats, /^streams-web\.1 w\d [1-9]\d*\nstreams-web\.2 w\d [1-9]\d*$/)
  })

  await t.test('cp', async (t) => {
    t.match(await lab.try('m1', 'cp', `${name}.1:/tmp/index.html`, '-'), { stdout: /hello\n/ })
    const into = await lab.try('m1', 'cp', 'package.json', `${name}.1:/tmp/copied`)
    t.match(into, { code: 0, stderr: /^Successfully copied/ })
    const head = await lab.cli('m1', 'exec', `${name}.1`, 'head', '-2', '/tmp/copied')
    t.match(head, /"name": "tsswarm"/)
  })

  await t.test('port-forward', async (t) => {
    const { socket } = lab.paths('m1')
    const program = `"${process.execPath}" dist/tsswarm.js -H ${socket}`
    const url = `http://127.0.0.1:${forwarded}/`
    const fetched = await lab.run(
      'm1',
      'sh',
      '-c',
      `${program} port-forward ${forwarded}:8080 ${name}.2 & pid=$!
       for try in $(seq 200); do busybox wget -qO- ${url} 2>/dev/null && break; sleep 0.1; done
       kill -INT $pid; wait $pid; echo "code $?"`,
    )
    t.match(fetched, { code: 0, stdout: /^Forwarding from .*\nhello\ncode 0\n$/ })
  })

  await t.test('logs outlive their task, and name the node that is away', async (t) => {
    await lab.cli('m1', 'exec', `${name}.1`, 'touch', '/tmp/stop')
    const started = async (): Promise<number> => {
      const { stdout } = await lab.try('m1', 'service', 'logs', name)
      return stdout.match(/started/g)?.length ?? 0
    }
    await lab.until('the log of the ended task too', async () => (await started()) === 3)
    await lab.kill('w2')
    const { stdout } = await lab.until('w2 is named', async () => {
      const logs = await lab.try('m1', 'service', 'logs', name)
      return /on w2: /.test(logs.stderr) && logs.code === 1 && logs
    })
    t.match(stdout, /started/, 'the rest is shown')
    await lab.start('w2')
    const format = ['--format', '{{.Hostname}} {{.Status}}']
    await lab.until('w2 is back', async () =>
      /^w2 Ready$/m.test(await lab.cli('m1', 'node', 'ls', ...format)),
    )
  })
  await lab.cli('m1', 'service', 'rm', name)
}
