// What tasks use, in `docker stats`' columns.
import type { TaskUsage } from '../../proto/gen/tsswarm/v1/streams.ts'
import { binarySize, decimalSize } from './human.ts'
import type { ListView, Row } from './list-format.ts'
import { naturalCompare } from './natural.ts'

export const statsView: ListView = {
  heads: {
    ID: 'TASK ID',
    Container: 'CONTAINER',
    Name: 'NAME',
    Node: 'NODE',
    CPUPerc: 'CPU %',
    MemUsage: 'MEM USAGE / LIMIT',
    MemPerc: 'MEM %',
    NetIO: 'NET I/O',
    BlockIO: 'BLOCK I/O',
    PIDs: 'PIDS',
  },
  table:
    '{{.Name}}\t{{.Node}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}',
  quietField: 'ID',
}

const unknown = '--'

/** In order of their names; a task without figures has dashes. */
export function statsRows(tasks: readonly TaskUsage[], truncate: boolean): readonly Row[] {
  return [...tasks]
    .sort((a, b) => naturalCompare(a.taskName, b.taskName))
    .map((task) => statsRow(task, truncate))
}

function statsRow(task: TaskUsage, truncate: boolean): Row {
  const { taskId, taskName, nodeHostname, containerId, err } = task
  const about = {
    ID: truncate ? taskId.slice(0, 12) : taskId,
    Container: truncate ? containerId.slice(0, 12) : containerId,
    Name: truncate ? taskName.replace(/\.[^.]*$/, '') : taskName,
    Node: nodeHostname,
  }
  if (err !== '') return { ...about, ...nothing }
  const { memoryBytes, memoryLimitBytes } = task
  const share = memoryLimitBytes === 0 ? 0 : (100 * memoryBytes) / memoryLimitBytes
  return {
    ...about,
    CPUPerc: `${(task.cpuPermille / 10).toFixed(2)}%`,
    MemUsage: `${binarySize(memoryBytes)} / ${binarySize(memoryLimitBytes)}`,
    MemPerc: `${share.toFixed(2)}%`,
    NetIO: `${decimalSize(task.receivedBytes)} / ${decimalSize(task.sentBytes)}`,
    BlockIO: `${decimalSize(task.readBytes)} / ${decimalSize(task.writtenBytes)}`,
    PIDs: String(task.pids),
  }
}

const nothing = {
  CPUPerc: unknown,
  MemUsage: `${unknown} / ${unknown}`,
  MemPerc: unknown,
  NetIO: unknown,
  BlockIO: unknown,
  PIDs: unknown,
}
