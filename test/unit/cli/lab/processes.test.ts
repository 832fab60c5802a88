// What is left of a lab is ended by what it is, not by what it looks at.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { killLeftovers, labPrograms } from '../../../../cli/lab/processes.ts'

t.test('monitors and daemons of the directory are ended, bystanders are not', async (t) => {
  const top = mkdtempSync(join(tmpdir(), 'leftovers-'))
  const lab = join(top, 'lab')
  mkdirSync(lab)
  const log = join(lab, 'daemon.log')
  writeFileSync(log, 'started\n')
  const other = join(top, 'lab2.log')
  writeFileSync(other, 'started\n')
  const conmon = join(top, 'conmon')
  copyFileSync('/usr/bin/tail', conmon)
  const idle = 'console.log("started"); setInterval(() => {}, 1000)'
  const children: ChildProcess[] = []
  t.teardown(() => {
    for (const child of children) child.kill('SIGKILL')
    rmSync(top, { recursive: true, force: true })
  })
  /** Resolves once it runs, which each of them tells by a line. */
  const start = async (file: string, ...args: readonly string[]): Promise<ChildProcess> => {
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'ignore'] })
    children.push(child)
    await once(child.stdout, 'data')
    return child
  }
  const ours = [
    await start(conmon, '-f', log),
    await start(process.execPath, '-e', idle, 'daemon', '--state-dir', join(lab, 'm1')),
  ]
  const bystanders = [
    await start('/usr/bin/tail', '-f', log),
    await start(process.execPath, '-e', idle, log),
    await start(conmon, '-f', other),
  ]
  const ends = ours.map((child) => once(child, 'exit'))
  t.equal(killLeftovers(lab, labPrograms), 2)
  t.strictSame(await Promise.all(ends), [
    [null, 'SIGKILL'],
    [null, 'SIGKILL'],
  ])
  for (const child of bystanders) t.equal(child.signalCode, null, `${child.spawnargs} goes on`)
  t.equal(killLeftovers(lab, labPrograms), 0)
})
