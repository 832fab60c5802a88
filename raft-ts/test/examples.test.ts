// The example of several processes, as its first lines say to run it.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { aRoot } from './support/certificates.ts'
import { freePort } from './support/free-port.ts'
import { until } from './support/until.ts'

const program = fileURLToPath(new URL('../examples/tcp-counter.mjs', import.meta.url))

type Line = Readonly<Record<string, unknown>>

/** One process of the example. */
class Member {
  readonly process: ChildProcess
  readonly lines: Line[] = []
  errors = ''

  constructor(args: readonly string[]) {
    const env = { PATH: process.env.PATH }
    this.process = spawn(process.execPath, [program, ...args], { stdio: 'pipe', env })
    const { stdout, stderr } = this.process
    if (stdout === null || stderr === null) throw new Error('no pipes')
    createInterface({ input: stdout }).on('line', (line) => this.lines.push(JSON.parse(line)))
    stderr.on('data', (text) => {
      this.errors += String(text)
    })
  }

  get isLeader(): boolean {
    return this.lines.findLast((line) => 'role' in line)?.role === 'leader'
  }

  /** The next answer; there is one for each command. */
  async ask(command: string): Promise<Line> {
    const answers = (): Line[] => this.lines.filter((line) => 'kind' in line)
    const before = answers().length
    this.process.stdin?.write(`${command}\n`)
    return await until(`${command} is answered; ${this.errors}`, () => answers()[before])
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    if (this.process.exitCode === null) this.process.kill(signal)
    await this.ended()
  }

  ended(): Promise<boolean> {
    const { process } = this
    return until('the process ends', () => process.exitCode !== null || process.signalCode !== null)
  }
}

t.test('three processes count over TLS, and go on when the leader is killed', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'raft-ts-example-'))
  const running = new Set<Member>()
  t.teardown(async () => {
    for (const member of running) await member.end('SIGKILL')
    rmSync(directory, { recursive: true })
  })
  const root = await aRoot()
  const certificates = join(directory, 'certificates')
  mkdirSync(certificates)
  writeFileSync(join(certificates, 'ca.pem'), root.certPem)
  const addresses: string[] = []
  for (const id of ['a', 'b', 'c', 'd']) {
    const { cert, key } = await root.issue(id)
    writeFileSync(join(certificates, `${id}.pem`), cert)
    writeFileSync(join(certificates, `${id}.key`), key)
    addresses.push(`${id}=127.0.0.1:${await freePort()}`)
  }
  const start = (id: string): Member => {
    const member = new Member([id, join(directory, id), certificates, ...addresses])
    running.add(member)
    return member
  }
  const all = new Map(['a', 'b', 'c'].map((id) => [id, start(id)]))
  const leader = (): Promise<readonly [string, Member]> =>
    until(`a leader; ${[...all.values()].map(({ errors }) => errors).join()}`, () =>
      [...all].find(([, member]) => member.isLeader),
    )
  const [firstId, first] = await leader()
  t.match(await first.ask('add 2'), { kind: 'committed', result: 2 })
  t.match(await first.ask('add 3'), { kind: 'committed', result: 5 })
  for (const member of all.values()) t.match(await member.ask('get'), { kind: 'ready', value: 5 })

  all.delete(firstId)
  await first.end('SIGKILL')
  const [, second] = await leader()
  t.match(await second.ask('add 10'), { kind: 'committed', result: 15 })

  const again = start(firstId)
  const d = start('d')
  t.match(await second.ask('voter d'), { kind: 'committed' })
  await until('the killed one and the new one read what was added', async () => {
    const reads = [await again.ask('get'), await d.ask('get')]
    return reads.every(({ kind, value }) => kind === 'ready' && value === 15)
  })
  second.process.stdin?.write('stop\n')
  await second.ended()
  t.equal(second.process.exitCode, 0)
})

t.test('it says how it is used', async (t) => {
  const member = new Member(['a'])
  await member.ended()
  t.equal(member.process.exitCode, 2)
  t.match(member.errors, /^usage: /)
})
