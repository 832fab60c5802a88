// Builders of what agents are told; a test says only what matters to it.
import {
  type AssignedTask,
  serviceId,
  specHash,
  type TaskSpecRecord,
  TaskState,
  taskId,
} from '../../proto/objects/index.ts'
import { taskSpec } from '../../proto/spec/service-spec.ts'

/** Task `id` of service `web`, wanted running, with the spec `hello`. */
export function anAssignedTask(
  task: Partial<Omit<AssignedTask, 'id'>> & { readonly id: string },
): AssignedTask {
  return {
    serviceId: serviceId('service1'),
    serviceName: 'web',
    slot: 1,
    isForNode: false,
    specHash: specHash('hello'),
    desiredState: TaskState.RUNNING,
    state: TaskState.ASSIGNED,
    serviceLabels: {},
    attachments: [],
    generic: [],
    isDrained: false,
    ...task,
    id: taskId(task.id),
  }
}

/** A spec of that hash; its image has the same name. */
export function aSpecRecord(hash = 'hello', more: object = {}): TaskSpecRecord {
  return {
    hash: specHash(hash),
    spec: taskSpec.parse({ container: { image: hash, ...more } }),
  }
}
