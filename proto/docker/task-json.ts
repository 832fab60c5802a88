// A task as Docker's API shows it.
import { type Task, taskStateName } from '../objects/index.ts'
import type { TaskSpec } from '../spec/service-spec.ts'
import { dockerTime, type Json, metaJson, omitEmpty } from './json.ts'
import { taskSpecJson } from './task-spec-json.ts'

/** Docker's Task. The spec is undefined only while its record is on the way. */
export function taskJson(task: Task, spec: TaskSpec | undefined): Json {
  return {
    ID: task.id,
    ...metaJson(task),
    Labels: {},
    ...(spec === undefined ? {} : { Spec: taskSpecJson(spec) }),
    ServiceID: task.serviceId,
    Slot: task.slot,
    ...omitEmpty({ NodeID: task.nodeId }),
    Status: statusJson(task),
    DesiredState: taskStateName(task.desiredState),
  }
}

function statusJson(task: Task): Json {
  return {
    Timestamp: dockerTime(task.stateAtMs),
    State: taskStateName(task.state),
    ...omitEmpty({ Message: task.message, Err: task.err }),
    ...(task.containerId === ''
      ? {}
      : {
          ContainerStatus: {
            ContainerID: task.containerId,
            PID: task.pid,
            ExitCode: task.exitCode ?? 0,
          },
        }),
    PortStatus: omitEmpty({ Ports: task.hostPorts.map(portJson) }),
  }
}

/** "tcp/8080" as Docker's port object. */
function portJson(port: string): Json {
  const [protocol = '', number = ''] = port.split('/')
  return { Protocol: protocol, PublishedPort: Number(number), PublishMode: 'host' }
}
