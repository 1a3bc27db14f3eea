# nomad job run docker-cleaner.nomad.hcl: each client with Docker, every night. The client must allow mounts from outside
# the allocation: plugin "docker" { config { volumes { enabled = true } } }.
job "docker-cleaner" {
  type        = "sysbatch"
  datacenters = ["*"]

  periodic {
    crons            = ["0 2 * * *"]
    prohibit_overlap = true
  }

  constraint {
    attribute = "${attr.driver.docker}"
    value     = "1"
  }

  group "docker-cleaner" {
    restart {
      attempts = 0
      mode     = "fail"
    }

    task "sweep" {
      driver       = "docker"
      kill_timeout = "10s"

      config {
        image           = "docker-cleaner:latest"
        force_pull      = false
        network_mode    = "none"
        readonly_rootfs = true
        cap_drop        = ["all"]
        cap_add         = ["setuid", "setgid"]
        security_opt    = ["no-new-privileges"]
        volumes         = ["/var/run/docker.sock:/var/run/docker.sock"]
      }

      env {
        PRUNE_FILTER_UNTIL = "168h"
        LOG_FORMAT         = "json"
      }

      resources {
        cpu    = 100
        memory = 128
      }
    }
  }
}
