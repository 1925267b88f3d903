"""The cluster's programs with their arguments."""

import shutil
from pathlib import Path

from engine.cluster.layout import Layout
from engine.cluster.processes import Part
from engine.cluster.programs import Programs

PROVISIONER = "agent-fleet/volumes"
_SEARCHED = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _debian(name: str) -> str:
    return shutil.which(name, path=_SEARCHED) or shutil.which(name) or name


class Parts:
    """Every part of one cluster, by what it is."""

    def __init__(self, layout: Layout, programs: Programs) -> None:
        """Nothing is started or read."""
        self._layout = layout
        self._programs = programs

    def _certificate(self, name: str) -> str:
        return str(self._layout.certificates / name)

    def _configuration(self, name: str) -> str:
        return str(self._layout.configuration / name)

    def _part(self, name: str, *command: str) -> Part:
        folders = (str(self._layout.certificates), str(self._layout.configuration))
        values = (argument.rpartition("=")[2] or argument for argument in command)
        return Part(name, command, tuple(Path(value) for value in values if value.startswith(folders)))

    def _program(self, name: str) -> str:
        return str(self._programs.path(name))

    @property
    def etcd(self) -> Part:
        """The API server's database; on the loopback interface, for certificates of its own authority only."""
        url = f"https://127.0.0.1:{self._layout.etcd_port}"
        peer = f"https://127.0.0.1:{self._layout.etcd_peer_port}"
        return self._part(
            "etcd",
            _debian("etcd"),
            "--name=node",
            f"--data-dir={self._layout.data / 'etcd'}",
            f"--listen-client-urls={url}",
            f"--advertise-client-urls={url}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=node={peer}",
            "--client-cert-auth",
            f"--trusted-ca-file={self._certificate('etcd-ca.crt')}",
            f"--cert-file={self._certificate('etcd.crt')}",
            f"--key-file={self._certificate('etcd.key')}",
            "--peer-client-cert-auth",
            f"--peer-trusted-ca-file={self._certificate('etcd-ca.crt')}",
            f"--peer-cert-file={self._certificate('etcd.crt')}",
            f"--peer-key-file={self._certificate('etcd.key')}",
            "--auto-compaction-retention=1",
        )

    @property
    def registry(self) -> Part:
        """Where images are pushed to and pulled from; on the loopback interface, without TLS."""
        return self._part("registry", _debian("docker-registry"), "serve", self._configuration("registry.json"))

    @property
    def containerd(self) -> Part:
        """Runs the pods' containers."""
        return self._part("containerd", _debian("containerd"), "--config", self._configuration("containerd.toml"))

    @property
    def api_server(self) -> Part:
        """The API server."""
        layout = self._layout
        return self._part(
            "api-server",
            self._program("kube-apiserver"),
            f"--advertise-address={layout.node_address}",
            f"--bind-address={layout.node_address}",
            f"--secure-port={layout.api_port}",
            "--allow-privileged=true",
            "--authorization-mode=Node,RBAC",
            f"--client-ca-file={self._certificate('ca.crt')}",
            "--enable-admission-plugins=NodeRestriction",
            "--enable-aggregator-routing=true",
            f"--encryption-provider-config={self._configuration('encryption.json')}",
            f"--etcd-servers=https://127.0.0.1:{layout.etcd_port}",
            f"--etcd-cafile={self._certificate('etcd-ca.crt')}",
            f"--etcd-certfile={self._certificate('apiserver-etcd.crt')}",
            f"--etcd-keyfile={self._certificate('apiserver-etcd.key')}",
            f"--kubelet-certificate-authority={self._certificate('ca.crt')}",
            f"--kubelet-client-certificate={self._certificate('apiserver-kubelet.crt')}",
            f"--kubelet-client-key={self._certificate('apiserver-kubelet.key')}",
            "--kubelet-preferred-address-types=InternalIP",
            "--profiling=false",
            f"--proxy-client-cert-file={self._certificate('front-proxy.crt')}",
            f"--proxy-client-key-file={self._certificate('front-proxy.key')}",
            f"--requestheader-client-ca-file={self._certificate('front-proxy-ca.crt')}",
            "--requestheader-allowed-names=agent-fleet:front-proxy",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-username-headers=X-Remote-User",
            f"--service-account-issuer=https://kubernetes.default.svc.{layout.domain}",
            f"--service-account-key-file={self._certificate('service-accounts.pub')}",
            f"--service-account-signing-key-file={self._certificate('service-accounts.key')}",
            f"--service-cluster-ip-range={layout.service_network}",
            f"--tls-cert-file={self._certificate('apiserver.crt')}",
            f"--tls-private-key-file={self._certificate('apiserver.key')}",
        )

    @property
    def controller_manager(self) -> Part:
        """The controllers of Kubernetes itself."""
        return self._part(
            "controller-manager",
            self._program("kube-controller-manager"),
            f"--kubeconfig={self._configuration('controller-manager.kubeconfig')}",
            "--allocate-node-cidrs=false",
            f"--cluster-cidr={self._layout.pod_network}",
            f"--cluster-signing-cert-file={self._certificate('ca.crt')}",
            f"--cluster-signing-key-file={self._certificate('ca.key')}",
            f"--root-ca-file={self._certificate('ca.crt')}",
            f"--service-account-private-key-file={self._certificate('service-accounts.key')}",
            "--use-service-account-credentials=true",
            "--leader-elect=false",
            "--profiling=false",
            "--secure-port=0",
        )

    @property
    def scheduler(self) -> Part:
        """Chooses the node of each pod."""
        return self._part(
            "scheduler",
            self._program("kube-scheduler"),
            f"--kubeconfig={self._configuration('scheduler.kubeconfig')}",
            "--leader-elect=false",
            "--profiling=false",
            "--secure-port=0",
        )

    @property
    def kubelet(self) -> Part:
        """Runs the pods of this node."""
        layout = self._layout
        return self._part(
            "kubelet",
            self._program("kubelet"),
            f"--config={self._configuration('kubelet.json')}",
            f"--kubeconfig={self._configuration('kubelet.kubeconfig')}",
            f"--hostname-override={layout.node_name}",
            f"--node-ip={layout.node_address}",
            f"--root-dir={layout.data / 'kubelet'}",
        )

    @property
    def proxy(self) -> Part:
        """Makes Services reachable; node ports on the loopback interface only."""
        layout = self._layout
        return self._part(
            "proxy",
            self._program("kube-proxy"),
            f"--kubeconfig={self._configuration('proxy.kubeconfig')}",
            f"--hostname-override={layout.node_name}",
            "--proxy-mode=iptables",
            f"--cluster-cidr={layout.pod_network}",
            "--nodeport-addresses=127.0.0.0/8",
            f"--healthz-bind-address=127.0.0.1:{layout.proxy_health_port}",
            f"--metrics-bind-address=127.0.0.1:{layout.proxy_metrics_port}",
            # 0 leaves the kernel's own figures, which root in a container may not change.
            "--conntrack-max-per-core=0",
            "--conntrack-tcp-timeout-established=0",
            "--conntrack-tcp-timeout-close-wait=0",
        )

    @property
    def name_service(self) -> Part:
        """CoreDNS."""
        return self._part("name-service", self._program("coredns"), "-conf", self._configuration("Corefile"))

    @property
    def metrics_server(self) -> Part:
        """What autoscalers and `kubectl top` ask."""
        layout = self._layout
        kubeconfig = self._configuration("metrics-server.kubeconfig")
        return self._part(
            "metrics-server",
            self._program("metrics-server"),
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            f"--bind-address={layout.node_address}",
            f"--secure-port={layout.metrics_port}",
            f"--tls-cert-file={self._certificate('metrics-server-serving.crt')}",
            f"--tls-private-key-file={self._certificate('metrics-server-serving.key')}",
            f"--kubelet-certificate-authority={self._certificate('ca.crt')}",
            "--kubelet-preferred-address-types=InternalIP",
            "--kubelet-use-node-status-port",
            f"--requestheader-client-ca-file={self._certificate('front-proxy-ca.crt')}",
            # 10 s is the least that it allows, and a request must be shorter.
            "--metric-resolution=10s",
            "--kubelet-request-timeout=5s",
        )

    @property
    def volumes(self) -> Part:
        """Makes and removes the folders of claims."""
        layout = self._layout
        return self._part(
            "volumes",
            self._program("volumes"),
            f"--kubeconfig={self._configuration('volumes.kubeconfig')}",
            f"--folder={layout.volumes}",
            f"--node={layout.node_name}",
            f"--provisioner={PROVISIONER}",
        )

    def all(self) -> tuple[Part, ...]:
        """In the order in which they are started."""
        return (
            self.etcd,
            self.registry,
            self.containerd,
            self.api_server,
            self.controller_manager,
            self.scheduler,
            self.kubelet,
            self.proxy,
            self.name_service,
            self.metrics_server,
            self.volumes,
        )
