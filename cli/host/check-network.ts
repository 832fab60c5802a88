// Whether the kernel does what the data plane asks of it. Tried for real in a network namespace that ends with the try.
import { nftFromInput } from '../../worker/network/nft-script.ts'
import { type CheckResult, failed, passed } from './check-result.ts'
import type { HostProbes } from './probes.ts'

export async function checkNetNamespace({ run }: HostProbes): Promise<CheckResult> {
  const name = 'network namespaces'
  const add = ['ip', 'link', 'add', 'tsswarm0', 'type', 'veth', 'peer', 'name', 'tsswarm1']
  const result = await run(['unshare', '--net', '--', ...add])
  if (result.code === 0) return passed(name, 'with veth pairs')
  return failed({
    name,
    found: firstLine(result.stderr),
    remedy:
      'start as root with CAP_SYS_ADMIN and CAP_NET_ADMIN (in a container: privileged); the kernel needs CONFIG_NET_NS and CONFIG_VETH: `modprobe veth`',
    packages: [],
  })
}

/** Each statement of it is one the daemon's own tables use. */
const trial = `table inet tsswarm_trial {
  set pairs { type ipv4_addr . ipv4_addr; flags interval; elements = { 10.0.0.0/8 . 10.0.0.0/8 } }
  map ports { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }
  map marks { type ether_addr : mark; }
  map vips { type ipv4_addr : verdict; elements = { 10.0.0.1 : jump service } }
  chain service { meta l4proto { tcp, udp, sctp } dnat ip to numgen random mod 2 map { 0 : 10.0.0.2, 1 : 10.0.0.3 }; }
  chain raw { type filter hook prerouting priority raw; policy accept; udp dport 4789 @th,96,8 >= 16 notrack; }
  chain mangle {
    type filter hook prerouting priority mangle; policy accept;
    iifname != "lo" meta nfproto ipv6 fib saddr . iif oif missing drop
    ct direction original ct mark set ether saddr map @marks
    ct direction reply ct mark and 0xffff != 0 meta mark set ct mark and 0xffff
  }
  chain pre {
    type nat hook prerouting priority dstnat; policy accept;
    fib daddr type local dnat ip to ip daddr . meta l4proto . th dport map @ports
    ip daddr vmap @vips
  }
  chain post { type nat hook postrouting priority srcnat; policy accept; oifname "x" masquerade; }
  chain fw {
    type filter hook forward priority filter; policy accept;
    ct state vmap { established : accept, invalid : drop }
    ct status dnat accept
    ip saddr . ip daddr @pairs accept
    reject with icmpx admin-prohibited
  }
}
`

export async function checkNft({ run }: HostProbes): Promise<CheckResult> {
  const name = 'nftables'
  const asRoot = 'start as root with CAP_SYS_ADMIN and CAP_NET_ADMIN (in a container: privileged)'
  const result = await run(['unshare', '--net', '--', ...nftFromInput], { input: trial })
  if (result.code === 0) return passed(name, 'with nat, fib, maps and connection tracking')
  return failed({
    name,
    found: firstLine(result.stderr),
    remedy: result.stderr.includes('not permitted')
      ? asRoot
      : 'load the modules nf_tables, nft_nat, nft_masq, nft_fib_inet, nft_ct, nft_numgen, nft_reject_inet and nf_conntrack, or use a kernel that has them (Debian and Ubuntu kernels do)',
    packages: [],
  })
}

/** Containers on networks of the cluster need it. */
export async function checkVxlan({ run }: HostProbes): Promise<CheckResult> {
  const name = 'VXLAN'
  const device = ['type', 'vxlan', 'id', '1048576', 'dstport', '4789', 'nolearning']
  const add = ['ip', 'link', 'add', 'tsswarm0', ...device]
  const result = await run(['unshare', '--net', '--', ...add])
  if (result.code === 0) return passed(name, 'available')
  return failed({
    name,
    found: `the kernel makes no such device: ${firstLine(result.stderr)}`,
    remedy:
      'load the module: `modprobe vxlan`, or use a kernel with CONFIG_VXLAN (Debian and Ubuntu kernels have it)',
    packages: [],
  })
}

function firstLine(text: string): string {
  return text.trim().split('\n')[0] || 'it failed without a word'
}
