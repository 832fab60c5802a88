// The real agent of a simulated host, over simulated streams and a pretended executor.
import type {
  AgentLogMessage,
  AgentMessage,
  ManagerLogMessage,
  ManagerMessage,
} from '../../../proto/gen/tsswarm/v1/dispatcher.ts'
import { childController } from '../../../proto/lib/lifecycle.ts'
import { featureLevel, nodeId } from '../../../proto/objects/index.ts'
import { createAgent } from '../../../worker/agent.ts'
import type { Executor } from '../../../worker/executor/executor.ts'
import { createFakeExecutor } from '../../../worker/executor/fake/fake-executor.ts'
import type { FakeHost } from '../../../worker/executor/fake/fake-host.ts'
import type { LogTransport } from '../../../worker/log-server.ts'
import type { SessionTransport } from '../../../worker/session.ts'
import type { StateFile } from '../../../worker/state-file.ts'
import type { SimPart } from './sim-manager.ts'
import type { StreamEnds } from './sim-stream.ts'

export interface SimAgent {
  readonly close: () => void
  /** The node's certificate was renewed: the session is to be opened anew. */
  readonly renew: () => void
}

export async function startSimAgent(
  part: SimPart,
  containers: FakeHost,
  stateFile: StateFile,
): Promise<SimAgent> {
  const renewals = new Set<() => void>()
  const { host, clock, random, log, managers, onFailed } = part
  const executor = createFakeExecutor(containers)
  if (part.bug === 'forget-secrets') forgetSecrets(executor)
  const agent = await createAgent({
    nodeId: nodeId(host),
    executor,
    transport: transport(part),
    stateFile,
    clock,
    random,
    log: log.child({ part: 'agent' }),
    describe: () => ({
      slotVolumes: containers.slotVolumes(),
      hostname: host,
      platform: { os: 'linux', architecture: 'x86_64' },
      resources: { nanoCpus: 8e9, memoryBytes: 16e9 },
      engineVersion: '1',
      engineLabels: {},
      featureLevel,
      dataPathAddress: '',
    }),
    onDescription: (listener) => containers.onSlotVolumes(listener),
    network: () => ({ kind: 'none' }),
    advertiseAddress: () => '10.0.0.1',
    managers: managers.map((address) => ({ nodeId: address, address })),
    onRenewal: (listener) => {
      renewals.add(listener)
      return () => renewals.delete(listener)
    },
  })
  const { controller } = childController()
  agent.run(controller.signal).catch(onFailed)
  return {
    close: () => void executor.close(),
    renew: () => {
      for (const listener of [...renewals]) listener()
    },
  }
}

function forgetSecrets(executor: Executor): void {
  const { create } = executor
  executor.create = (config, signal) => create.call(executor, { ...config, files: [] }, signal)
}

function transport({ host, process, links, find }: SimPart): SessionTransport & LogTransport {
  const place = { host, process }
  const caller = { kind: 'node', nodeId: nodeId(host), role: 'worker' } as const
  return {
    open: ({ address }, signal) =>
      cuttable(
        links.connect<AgentMessage, ManagerMessage>(place, address, () =>
          find(address)?.manager?.serves((manager, far) =>
            manager.dispatcher.handleSession(caller, far.incoming, far.send, far.signal),
          ),
        ),
        signal,
      ),
    openLogs: ({ address }, signal) =>
      cuttable(
        links.connect<AgentLogMessage, ManagerLogMessage>(place, address, () =>
          find(address)?.manager?.serves((manager, far) =>
            manager.logs.handleLogs(caller, far.incoming, far.send, far.signal),
          ),
        ),
        signal,
      ),
  }
}

/** The caller's signal ends the stream. */
export function cuttable<Out, In>(
  stream: StreamEnds<Out, In>,
  signal: AbortSignal,
): StreamEnds<Out, In> {
  if (signal.aborted) stream.close()
  else signal.addEventListener('abort', () => stream.close(), { once: true })
  return stream
}
