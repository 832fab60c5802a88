// ListTasks and GetTask.
import type { Filter } from '../../proto/gen/tsswarm/v1/control.ts'
import type { Task } from '../../proto/objects/index.ts'
import type { ReadTx } from '../store/store.ts'
import type { ControlApi, ControlDeps } from './control-api.ts'
import { taskFilter } from './filters.ts'
import { findTask } from './lookup.ts'
import { taskView } from './views.ts'

export function taskHandlers({
  store,
  cluster,
}: ControlDeps): Pick<ControlApi, 'listTasks' | 'getTask'> {
  return {
    listTasks: async (_, request, signal) => {
      await cluster.readBarrier(signal)
      return store.view((tx) => {
        const passes = taskFilter(tx, request.filters)
        const tasks = [...candidates(tx, request.filters)].filter(passes)
        return { tasks: tasks.map((task) => taskView(tx, task, true)) }
      })
    },
    getTask: async (_, request, signal) => {
      await cluster.readBarrier(signal)
      return store.view((tx) => ({ task: taskView(tx, findTask(tx, request.reference), true) }))
    },
  }
}

/** The tasks that may pass, by index where a filter names services or nodes: not all of a million. */
function candidates(tx: ReadTx, filters: readonly Filter[]): Iterable<Task> {
  const values = (key: string): readonly string[] | undefined =>
    filters.find((filter) => filter.key === key)?.values
  const services = values('service')
  if (services !== undefined) {
    const ids = services.flatMap((value) => [
      value,
      ...[...tx.find('services', 'byName', value.toLowerCase())].map((service) => service.id),
    ])
    return [...new Set(ids)].flatMap((id) => [...tx.find('tasks', 'byService', id)])
  }
  const nodes = values('node')
  if (nodes !== undefined) {
    const ids = nodes.flatMap((value) => [
      value,
      ...[...tx.find('nodes', 'byName', value.toLowerCase())].map((node) => node.id),
    ])
    return [...new Set(ids)].flatMap((id) => [...tx.find('tasks', 'byNode', id)])
  }
  return tx.all('tasks')
}
