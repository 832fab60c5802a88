// ListTasks and GetTask.
import type { ControlApi, ControlDeps } from './control-api.ts'
import { taskFilter } from './filters.ts'
import { findTask } from './lookup.ts'
import { taskView } from './views.ts'

export function taskHandlers({ store, cluster }: ControlDeps): Pick<ControlApi, 'listTasks' | 'getTask'> {
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
