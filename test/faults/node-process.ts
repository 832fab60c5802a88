// The daemon of a single node without a cluster: engine, database and task manager as they are, in a process that tests kill.
// Says `ready` once it has adopted what there is, reads what is assigned as JSON, one full set a line, and writes a line for each
// status it has to report.
import { createInterface } from 'node:readline'
import { loadDaemonConfig } from '../../cli/daemon/config.ts'
import { openEngine } from '../../cli/daemon/engine.ts'
import { LiveSettings } from '../../cli/daemon/live-settings.ts'
import { systemClock } from '../../proto/lib/clock.ts'
import { createLogger } from '../../proto/lib/log.ts'
import { systemRandom } from '../../proto/lib/random.ts'
import { nodeId, specHash, type TaskState } from '../../proto/objects/index.ts'
import { taskSpec } from '../../proto/spec/service-spec.ts'
import { localNetworkId } from '../../worker/network/network-state.ts'
import { networkOfTask } from '../../worker/network-of-task.ts'
import { openStateDb } from '../../worker/state-db.ts'
import { openStateFile } from '../../worker/state-file.ts'
import { StatusReporter } from '../../worker/status-reporter.ts'
import { TaskManager } from '../../worker/task-manager.ts'
import { anAssignedTask } from '../support/task-builders.ts'

/** What a test assigns. */
export interface Wish {
  readonly image: string
  /** Run by its shell, with the id of its task as TASK. */
  readonly script: string
  /** Folder of the host that containers see as /starts. */
  readonly starts: string
  readonly tasks: readonly { readonly id: string; readonly desiredState: TaskState }[]
}

const [, , stateDir = '', runDir = '', cgroupParent = '', usernsRemap = 'off'] = process.argv
const dirs = { stateDir, runDir, cgroupParent }
const config = loadDaemonConfig({ ...dirs, usernsRemap, hostname: 'frail' }, {})
const log = createLogger('warn', 'frail')
const signal = new AbortController().signal
const parts = { clock: systemClock, random: systemRandom, log }
const engine = await openEngine({ config, live: new LiveSettings(config), ...parts })
const db = await openStateDb(openStateFile(`${stateDir}/tasks.db`), log)
const reporter = new StatusReporter(systemClock)
const tasks = new TaskManager({
  executor: engine.executor,
  db,
  reporter,
  ...parts,
  host: {
    nodeId: nodeId('frail'),
    hostname: 'frail',
    os: 'linux',
    architecture: 'x86_64',
    network: (task, spec) => networkOfTask(task, spec, localNetworkId),
  },
})
await tasks.adopt()
reporter.connect(({ sequence, statuses }) => {
  for (const status of statuses) process.stdout.write(`${JSON.stringify(status)}\n`)
  reporter.acknowledge(sequence)
})
const running = Promise.all([tasks.run(signal), engine.network.run(signal)])
process.stdout.write('ready\n')
let index = 0
for await (const line of createInterface({ input: process.stdin })) await apply(JSON.parse(line))
await running

async function apply({ image, script, starts, tasks: wished }: Wish): Promise<void> {
  index += 1
  const container = {
    image,
    command: ['/bin/sh', '-c'],
    args: [script],
    env: ['TASK={{.Task.ID}}'],
    mounts: [{ target: '/data' }, { kind: 'bind', source: starts, target: '/starts' }],
  }
  const ports = [{ mode: 'host', targetPort: 80 }]
  const hash = specHash('frail')
  const assigned = wished.map((task) => anAssignedTask({ ...task, specHash: hash }))
  const assignments = {
    stamp: { epoch: Date.now(), index },
    tasks: new Map(assigned.map((task) => [task.id, task])),
    specs: new Map([[hash, taskSpec.parse({ container, ports })]]),
  }
  await db.saveAssignments(assignments)
  tasks.apply(assignments, true)
}
