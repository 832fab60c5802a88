// A node as Docker's API shows it.
import type { Node } from '../objects/index.ts'
import { genericJson } from './generic-json.ts'
import { type Json, metaJson, omitEmpty } from './json.ts'

/** What is known of a node's manager part right now. */
export interface ManagerStatus {
  readonly leader: boolean
  readonly reachability: 'unknown' | 'unreachable' | 'reachable'
}

function messageOf({ stateMessage, description }: Node): string {
  const texts = [stateMessage, ...(description?.conditions ?? []).map(({ message }) => message)]
  return texts.filter((text) => text !== '').join('; ')
}

function conditionsOf({ description }: Node): readonly Json[] {
  return (description?.conditions ?? []).map(({ code, message, serviceId }) => ({
    ...omitEmpty({ Code: code }),
    Message: message,
    ...omitEmpty({ ServiceID: serviceId }),
  }))
}

/** Docker's Node; what does not work there is in Status.Conditions. `manager` is undefined for workers. */
export function nodeJson(node: Node, manager: ManagerStatus | undefined): Json {
  const { description } = node
  return {
    ID: node.id,
    ...metaJson(node),
    Spec: {
      ...omitEmpty({ Name: node.spec.name }),
      Labels: node.spec.labels,
      Role: node.spec.role,
      Availability: node.spec.availability,
    },
    Description: {
      Hostname: description?.hostname ?? '',
      Platform: {
        Architecture: description?.platform.architecture ?? '',
        OS: description?.platform.os ?? '',
      },
      Resources: {
        NanoCPUs: description?.resources.nanoCpus ?? 0,
        MemoryBytes: description?.resources.memoryBytes ?? 0,
        ...omitEmpty({ GenericResources: genericJson(description?.resources.generic) }),
      },
      Engine: {
        EngineVersion: description?.engineVersion ?? '',
        ...omitEmpty({ Labels: description?.engineLabels, Runtimes: description?.runtimes }),
      },
    },
    Status: {
      State: node.state,
      ...omitEmpty({ Message: messageOf(node) }),
      Addr: node.address,
      ...omitEmpty({ Conditions: conditionsOf(node) }),
    },
    ...(node.manager === undefined
      ? {}
      : {
          ManagerStatus: {
            ...omitEmpty({ Leader: manager?.leader ?? false }),
            Reachability: manager?.reachability ?? 'unknown',
            Addr: node.manager.address,
          },
        }),
  }
}
