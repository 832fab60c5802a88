// attach and a terminal over a whole cluster, and what is left of streams when the manager is killed.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import type { Test } from 'tap'
import { inHost } from '../../../cli/lab/topology.ts'
import { Pty } from '../../support/pty.ts'
import type { TestLab } from '../../support/test-lab.ts'

const name = 'attach-sh'
const script =
  'httpd -p 127.0.0.1:8089 -h /etc; echo up; while read x; do [ "$x" = end ] && exit 5; echo "got $x"; done'
const inside = 'trap "stty size" WINCH; trap "exit 42" INT; stty size; while :; do sleep 0.05; done'

export async function attach(t: Test, lab: TestLab): Promise<void> {
  const words = ['--name', name, '--detach', '-it', '--restart-condition', 'none']
  const place = ['--constraint', 'node.role==worker', 'lab/hello', '/bin/sh', '-c', script]
  await lab.cli('m1', 'service', 'create', ...words, ...place)
  await lab.untilRunning('m1', name, 1)
  const program = `'${process.execPath}' dist/tsswarm.js -H '${lab.paths('m1').socket}'`
  /** Runs the program there, and tells its exit code and whether the terminal is as before. */
  const onTerminal = (words: string): Pty => {
    const told = '[ "$(stty -g)" = "$before" ] && echo "code $code, as before" || stty -a'
    const command = `stty rows 30 cols 90; before=$(stty -g); ${program} ${words}; code=$?; ${told}`
    const pty = new Pty(command, inHost(lab.record.name, 'm1', []))
    t.teardown(() => pty.kill())
    return pty
  }

  await t.test('exec on a terminal: size, a change of it, interrupt, exit code', async (t) => {
    const pty = onTerminal(`exec -it ${name} sh -c '${inside}'`)
    await pty.shows('30 90\r\n')
    await pty.resize(41, 101)
    await pty.shows('41 101\r\n')
    pty.type('\x03')
    await pty.shows('code 42, as before\r\n')
    t.equal(await pty.ended(), 0)
  })

  await t.test('attach: what is typed, detach keys, who it was', async (t) => {
    const pty = onTerminal(`attach ${name}`)
    await lab.until('it is attached', async () => / -icanon\b/.test(await pty.settings()))
    pty.type('hello\r')
    await pty.shows('got hello\r\n')
    pty.type('\x10\x11')
    await pty.shows('code 0, as before\r\n')
    const filter = ['--since', '5m', '--until', '0s', '--filter', 'event=attach']
    t.match(await lab.cli('m1', 'events', ...filter), /client\.node\.name=m1/)
    const piped = await lab.run('m1', 'sh', '-c', `echo lost | ${program} attach ${name}`)
    t.match(piped, { code: 1, stderr: /the input device is not a TTY/ })
  })

  await t.test('the manager is killed: one error each, nothing is left on the node', async (t) => {
    const exec = onTerminal(`exec -it ${name} sh -c '${inside}'`)
    const attached = onTerminal(`attach ${name}`)
    const forwarded = lab.run(
      'm1',
      'sh',
      '-c',
      `fifo=$(mktemp -u); mkfifo $fifo; ${program} port-forward 18089:8089 ${name} 2>&1 & pid=$!
       for try in $(seq 200); do busybox nc 127.0.0.1 18089 <>$fifo 2>/dev/null && break; sleep 0.1; done
       rm $fifo; kill -INT $pid; wait $pid; echo "code $?"`,
    )
    await exec.shows('30 90\r\n')
    await lab.until('all of them run', async () => programsOf(lab).length === 2)
    await lab.kill('m1')
    for (const pty of [exec, attached]) {
      await pty.shows(/Error: the connection to the daemon broke off\r\n/)
      await pty.shows('code 1, as before\r\n')
    }
    await lab.until('nothing of them is left', async () => programsOf(lab).length === 0)
    t.match(await forwarded, { stdout: /^Forwarding from [^\n]*\n(Error: [^\n]*\n)?code 0\n$/ })
    await lab.start('m1')
    await lab.until('the task is seen again', async () => {
      const { stdout } = await lab.try('m1', 'top', name)
      return /httpd/.test(stdout) && !/WINCH/.test(stdout)
    })
    const again = onTerminal(`attach ${name}`)
    await lab.until('it is attached', async () => / -icanon\b/.test(await again.settings()))
    again.type('end\r')
    await again.shows('code 5, as before\r\n')
  })
  await lab.cli('m1', 'service', 'rm', name)
}

/** The programs on the nodes that carry what is typed and forwarded. */
function programsOf(lab: TestLab): readonly string[] {
  const { runRoot } = lab.deps.roots
  return readdirSync('/proc').filter((pid) => {
    try {
      if (!/^\d+$/.test(pid) || readFileSync(`/proc/${pid}/comm`, 'utf8') !== 'socat\n')
        return false
      const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
      return (
        words.includes('TCP:127.0.0.1:8089') || readlinkSync(`/proc/${pid}/cwd`).startsWith(runRoot)
      )
    } catch {
      return false
    }
  })
}
