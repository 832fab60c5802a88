// A service and its spec as Docker's API shows them.
import type { Service } from '../objects/index.ts'
import type { PortSpec, ServiceMode, ServiceSpec } from '../spec/service-spec.ts'
import { type Json, metaJson } from './json.ts'
import { taskSpecJson } from './task-spec-json.ts'

/** Docker's Service. */
export function serviceJson(service: Service): Json {
  return {
    ID: service.id,
    ...metaJson(service),
    Spec: serviceSpecJson(service.spec),
    ...(service.previousSpec === undefined
      ? {}
      : { PreviousSpec: serviceSpecJson(service.previousSpec) }),
    Endpoint: { Spec: endpointSpecJson(service.spec.task.ports) },
  }
}

/** Docker's ServiceSpec. */
export function serviceSpecJson(spec: ServiceSpec): Json {
  return {
    Name: spec.name,
    Labels: spec.labels,
    TaskTemplate: taskSpecJson(spec.task),
    Mode: modeJson(spec.mode),
    EndpointSpec: endpointSpecJson(spec.task.ports),
  }
}

function modeJson(mode: ServiceMode): Json {
  switch (mode.kind) {
    case 'replicated':
      return { Replicated: { Replicas: mode.replicas } }
  }
}

function endpointSpecJson(ports: readonly PortSpec[]): Json {
  return {
    Mode: 'vip',
    ...(ports.length === 0 ? {} : { Ports: ports.map(portJson) }),
  }
}

function portJson(port: PortSpec): Json {
  return {
    ...(port.name === '' ? {} : { Name: port.name }),
    Protocol: port.protocol,
    TargetPort: port.targetPort,
    ...(port.publishedPort === 0 ? {} : { PublishedPort: port.publishedPort }),
    PublishMode: port.mode,
    ...(port.bindAddress === '' ? {} : { BindAddress: port.bindAddress }),
  }
}
