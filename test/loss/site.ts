// Where the proof takes place: five hosts, a service on four of them, clients of its port on the fifth (from outside the cluster)
// and of its virtual address (in a container).
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hostNames } from '../../cli/lab/lab-record.ts'
import { inHost } from '../../cli/lab/topology.ts'
import { type TaskRow, TestLab } from '../support/test-lab.ts'
import { Generator, type GeneratorPlace, type LoadWish } from './generator.ts'
import { buildServerImage, compileProgram, serverImageName, serverPort } from './programs.ts'

export const service = 'web'
const network = 'back'
const publishedPort = 8080
/** Has no replica of the service. */
export const entryHost = 'w2'
/** Of the service's hosts the one that is no manager. */
export const workerHost = 'w1'
const convergeMs = 300_000

/** What clients of one way in are to do. */
export type LossLoad = Omit<LoadWish, 'address' | 'port'>

interface Client {
  readonly pid: number
  /** The service's address. */
  readonly vip: string
}

export class LossSite {
  readonly lab: TestLab
  /** Holds the client's container. */
  readonly clientHost: string
  readonly #client: Client
  readonly #folder: string

  private constructor(lab: TestLab, folder: string, host: string, client: Client) {
    this.lab = lab
    this.clientHost = host
    this.#client = client
    this.#folder = folder
  }

  /** Makes the lab and what is in it. */
  static async up(name: string, replicas: number): Promise<LossSite> {
    const folder = await mkdtemp(join(tmpdir(), 'tsswarm-loss-'))
    const image = join(folder, 'server.tar')
    await writeFile(image, await buildServerImage(folder))
    await compileProgram('load', folder)
    const lab = await TestLab.up(name, { managers: 3, workers: 2 })
    try {
      const load = (host: string) => lab.cli(host, 'image', 'load', '--quiet', '--input', image)
      await Promise.all(hostNames(lab.record).map(load))
      const leader = await lab.leader('m1')
      const host = ['m2', 'm3', 'm1'].find((manager) => manager !== leader) ?? 'm2'
      await lab.cli('m1', 'network', 'create', network)
      const create = ['service', 'create', '--quiet', '--network', network]
      const at = ['--constraint', `node.hostname==${host}`]
      await lab.cli('m1', ...create, '--name', 'client', ...at, serverImageName)
      const many = ['--replicas', `${replicas}`, '--constraint', `node.hostname!=${entryHost}`]
      const port = ['--publish', `${publishedPort}:${serverPort}`, '--stop-grace-period', '30s']
      await lab.cli('m1', ...create, '--name', service, ...many, ...port, serverImageName)
      return new LossSite(lab, folder, host, await clientOf(lab))
    } catch (err) {
      await lab.down()
      throw err
    }
  }

  async down(): Promise<void> {
    await this.lab.down()
    await rm(this.#folder, { recursive: true, force: true })
  }

  /** Clients on both ways in, and of the port on `more` hosts, from now on; `wish` is for each. Kill them in the end. */
  clients(wish: LossLoad, more: readonly string[] = []): readonly Generator[] {
    const { record } = this.lab
    const program = join(this.#folder, 'load')
    const throughPort = (name: string, host: string): GeneratorPlace => ({
      name,
      enter: inHost(record.name, 'registry', []),
      wish: { ...wish, address: this.lab.address(host), port: publishedPort },
    })
    const places = [
      throughPort('port', entryHost),
      {
        name: 'vip',
        enter: ['nsenter', '-t', `${this.#client.pid}`, '-n', '--'],
        wish: { ...wish, address: this.#client.vip, port: serverPort },
      },
      ...more.map((host) => throughPort(`port of ${host}`, host)),
    ]
    return places.map((place) => Generator.start(program, place))
  }

  running(host: string): Promise<readonly TaskRow[]> {
    return this.lab.running(host, service)
  }

  /** Has tasks on all hosts that may have some, however they were before. */
  async spread(replicas: number): Promise<void> {
    for (const n of [1, replicas]) {
      await this.lab.cli('m1', 'service', 'scale', '--detach', `${service}=${n}`)
      await this.converged('m1', n)
    }
  }

  /** Waits until exactly so many run and each is as wanted. */
  async converged(
    host: string,
    replicas: number,
    isWanted: (task: TaskRow) => boolean = () => true,
  ): Promise<void> {
    await this.lab.until(
      `${replicas} tasks are as they are to be`,
      async () => {
        const tasks = await this.running(host)
        return tasks.length === replicas && tasks.every(isWanted)
      },
      convergeMs,
    )
  }
}

async function clientOf(lab: TestLab): Promise<Client> {
  const [view] = await lab.taskViews('m1', 'client')
  const pid = view?.task?.pid ?? 0
  const look = ['nsenter', '-t', `${pid}`, '-m', '-n', '--', 'nslookup', service]
  // Its node learns of the service a moment after the command that waited for it has ended.
  return await lab.until(`${service} has an address`, async () => {
    const { stdout, stderr } = await lab.run('m1', ...look)
    const [, vip] = /^Name:.*\nAddress(?: \d+)?: (\S+)/m.exec(stdout) ?? []
    if (vip === undefined) throw new Error(`${stdout}${stderr}`)
    return { pid, vip }
  })
}
