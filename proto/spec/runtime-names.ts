// The runtimes that containers can have: a node has some of them, and a service may ask for one.
export const runtimeNames = ['crun', 'runc'] as const

export type RuntimeName = (typeof runtimeNames)[number]
