// The examples that are stacks, deployed at once and used as their READMEs say, on a lab of m1 and w1. Not hello, nor the lab
// itself (../examples.test.ts).
import type { Test } from 'tap'
import type { CommandResult } from '../../../proto/lib/command.ts'
import { untilSeen } from '../../support/until.ts'

export interface ExampleLab {
  /** Runs a command on m1. */
  readonly run: (...argv: readonly string[]) => Promise<CommandResult>
  /** Addresses of the hosts by name. */
  readonly addresses: Readonly<Record<'m1' | 'w1', string>>
}

const names = ['shop', 'database', 'batch', 'cron', 'bluegreen'] as const
const hosts = ['m1', 'w1'] as const

export async function exampleStacks(t: Test, lab: ExampleLab): Promise<void> {
  await Promise.all(names.map((name) => deploy(lab, name)))
  // An object each: tap keeps the test in it, and with one for all they would all tell the result of one.
  const atOnce = () => ({ buffered: true })
  t.jobs = names.length
  await Promise.all([
    t.test('bluegreen', atOnce(), (t) => bluegreen(t, lab)),
    t.test('shop', atOnce(), (t) => shop(t, lab)),
    t.test('database', atOnce(), (t) => database(t, lab)),
    t.test('batch', atOnce(), (t) => batch(t, lab)),
    t.test('cron', atOnce(), (t) => cron(t, lab)),
  ])
  await t.test('a drained node takes its slots along, not their data', (t) => drained(t, lab))
  const remove = ['tsswarm', 'stack', 'rm', '--detach=false']
  await Promise.all(names.map((name) => must(lab, ...remove, name)))
}

/** Standard output of a command on m1; throws when it fails. */
async function must(lab: ExampleLab, ...argv: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await lab.run(...argv)
  if (code === 0) return stdout.trim()
  throw new Error(`${argv.join(' ')}: exit ${code}: ${stderr}`)
}

/** Deploys an example, with NAME=VALUE before it, and waits. */
function deploy(lab: ExampleLab, name: string, ...variables: readonly string[]): Promise<string> {
  return must(lab, ...deployment(name, ...variables))
}

function deployment(name: string, ...variables: readonly string[]): readonly string[] {
  const file = `cluster-examples/${name}/compose.yml`
  const waits = ['--wait', '--timeout', '180s', '--quiet']
  return ['env', ...variables, 'tsswarm', 'stack', 'deploy', '-c', file, ...waits, name]
}

/** "200 the text" of a page on a host; with a body it is posted. */
async function ask(lab: ExampleLab, host: 'm1' | 'w1', page: string, body?: string) {
  const response = await fetch(`http://${lab.addresses[host]}:${page}`, {
    signal: AbortSignal.timeout(15_000),
    headers: { connection: 'close' },
    ...(body !== undefined && { method: 'POST', body }),
  })
  return `${response.status} ${(await response.text()).trim()}`
}

/**
 * Until each node leads to all that a page needs: a node that is late learns of tasks that serve after the command that
 * waited for them has ended. Both tasks behind a page are asked, but for one time in a thousand.
 */
async function answersEverywhere(
  lab: ExampleLab,
  page: string,
  { body, status = '200' }: { readonly body?: string; readonly status?: string } = {},
): Promise<void> {
  await untilSeen(`${status} for ${page} everywhere`, async () => {
    for (let round = 0; round < 10; round++) {
      const texts = await Promise.all(hosts.map((host) => ask(lab, host, page, body)))
      const wrong = texts.find((text) => !text.startsWith(`${status} `))
      if (wrong !== undefined) throw new Error(wrong)
    }
    return true
  })
}

async function shop(t: Test, lab: ExampleLab): Promise<void> {
  const orders = '8000/cgi-bin/orders'
  await answersEverywhere(lab, '8000/')
  await answersEverywhere(lab, orders)
  await answersEverywhere(lab, orders, { body: 'item=gold&count=1', status: '404' })
  for (const host of hosts) t.match(await ask(lab, host, '8000/'), /^200 .*tea, 3\.20/s, host)
  const placed = await ask(lab, 'm1', orders, 'item=tea&count=2')
  t.equal(placed, '201 order 1: 2 tea, 6.40')
  t.equal(await ask(lab, 'w1', orders, 'item=cake&count=3'), '201 order 2: 3 cake, 8.25')
  for (const host of hosts) t.equal(await ask(lab, host, orders), '200 1 2 tea 6.40\n2 3 cake 8.25')
  t.match(await ask(lab, 'w1', `${orders}/9`), /^404 /)
  t.match(await ask(lab, 'm1', orders, 'item=gold&count=1'), /^404 there is no such item/)
  const get = (service: string) => lab.run('tsswarm', 'exec', service, 'wget', '-O-', storePage)
  t.match(await get('shop_web'), { code: 1, stderr: /bad address/ }, 'no way from the front')
  t.match(await get('shop_orders'), { code: 1, stderr: /401 Unauthorized/ }, 'not without password')
}

const storePage = 'http://store/cgi-bin/store'

async function database(t: Test, lab: ExampleLab): Promise<void> {
  for (const host of hosts) {
    t.match(await ask(lab, host, '8100/cgi-bin/db/home', `on ${host}`), /^200 /)
  }
  await deploy(lab, 'database', 'RELEASE=2')
  for (const host of hosts) {
    t.match(await ask(lab, host, '8100/cgi-bin/db'), /^200 slot [12], release 2, start 2$/)
    t.equal(await ask(lab, host, '8100/cgi-bin/db/home'), `200 on ${host}`, 'after an update')
  }
}

async function batch(t: Test, lab: ExampleLab): Promise<void> {
  const report = await must(lab, 'tsswarm', 'service', 'logs', '--raw', 'batch_collect')
  t.match(report, /^up to 100: 25 primes\n(.*\n)*up to 20000: 2262 primes\n6 results$/)
  const format = ['--format', '{{.Name}} {{.Replicas}}']
  const services = await must(lab, 'tsswarm', 'stack', 'services', ...format, 'batch')
  t.match(services, /^batch_work 0\/6 \(6\/6 completed\)$/m)
}

async function cron(t: Test, lab: ExampleLab): Promise<void> {
  await answersEverywhere(lab, '8200/')
  t.match(await ask(lab, 'w1', '8200/', 'remember the milk'), /^20\d /)
  // A run of the schedule may be under way: then this one is missed, and the next minute's has the note.
  await must(lab, 'tsswarm', 'service', 'update', '--force', '--detach', 'cron_backup')
  const log = ['service', 'logs', '--raw', 'cron_backup']
  const seen = async () => {
    const text = await must(lab, 'tsswarm', ...log)
    return /^notes-\d{8}T\d{6}Z\.txt: 1 notes$/m.test(text) && text
  }
  t.ok(await untilSeen('a run has copied the note', seen, 150_000))
}

async function bluegreen(t: Test, lab: ExampleLab): Promise<void> {
  await answersEverywhere(lab, '8300/')
  const load = new Load((host) => ask(lab, host, '8300/'))
  /** A node that is late may lead to a task of the former version until it is told to stop. */
  const only = async (version: number) => {
    const all = hosts.flatMap((host) => [host, host, host, host])
    await untilSeen(`version ${version} and no other`, async () => {
      const texts = await Promise.all(all.map((host) => ask(lab, host, '8300/')))
      return texts.every((text) => text.startsWith(`200 version ${version},`))
    })
  }
  await only(1)
  await deploy(lab, 'bluegreen', 'VERSION=2')
  await only(2)
  await must(lab, 'tsswarm', 'service', 'rollback', '--quiet', 'bluegreen_web')
  await only(1)
  const broken = await lab.run(...deployment('bluegreen', 'VERSION=broken'))
  t.match(broken, { code: 1, stderr: /bluegreen_web/ }, 'a version that is never healthy')
  // The one before is back.
  await only(1)
  const { answered, lost } = await load.end()
  t.same(lost, [], 'no request was lost')
  t.ok(answered > 100, `${answered} requests`)
}

/** Requests to both hosts in turn, one after the other in each of two lanes, until it is ended. */
class Load {
  #isOver = false
  #answered = 0
  readonly #lost: string[] = []
  readonly #lanes: Promise<unknown>

  constructor(send: (host: 'm1' | 'w1') => Promise<string>) {
    this.#lanes = Promise.all(hosts.map((host) => this.#lane(() => send(host))))
  }

  async end(): Promise<{ readonly answered: number; readonly lost: readonly string[] }> {
    this.#isOver = true
    await this.#lanes
    return { answered: this.#answered, lost: this.#lost }
  }

  async #lane(send: () => Promise<string>): Promise<void> {
    while (!this.#isOver) {
      const text = await send().catch((err: unknown) => String(err))
      this.#answered++
      if (!/^200 version [12],/.test(text)) this.#lost.push(text)
    }
  }
}

async function drained(t: Test, lab: ExampleLab): Promise<void> {
  const availability = (word: string) =>
    must(lab, 'tsswarm', 'node', 'update', '--availability', word, 'w1')
  await availability('drain')
  const format = ['--no-trunc', '--format', '{{.Error}}']
  await untilSeen('the slot waits for its node', async () => {
    const errors = await must(lab, 'tsswarm', 'service', 'ps', ...format, 'database_db')
    return /volume "database-[12]" is on node w1/.test(errors)
  })
  t.equal(await ask(lab, 'm1', '8100/cgi-bin/db/home'), '200 on m1', 'the other one goes on')
  // The next task waits for its volume from when it is made; the one before is still to be stopped then.
  await untilSeen('nothing answers on w1', async () => {
    const asked = ask(lab, 'w1', '8100/cgi-bin/db/home')
    return await asked.then(
      () => false,
      () => true,
    )
  })
  await availability('active')
  const back = await untilSeen(
    'it is back with its data',
    async () => {
      const text = await ask(lab, 'w1', '8100/cgi-bin/db/home')
      return text.startsWith('200 ') && text
    },
    60_000,
  )
  t.equal(back, '200 on w1')
  t.match(await ask(lab, 'w1', '8100/cgi-bin/db'), /start 3$/)
  const orders = await untilSeen(
    'and so is the shop, wherever its store is',
    async () => {
      const text = await ask(lab, 'w1', '8000/cgi-bin/orders')
      return text.startsWith('200 ') && text
    },
    60_000,
  )
  t.equal(orders, '200 1 2 tea 6.40\n2 3 cake 8.25')
}
